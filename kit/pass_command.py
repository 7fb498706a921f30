"""`loupe pass`: one pass of a model over a set of images, kept in a file or a store."""

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import expect_count, shown

if TYPE_CHECKING:
    from kit.data.sets import ImageSet

NAMED = 10  # images that could not be read and are named on the screen

DESCRIPTION = """Take every image of a set apart once, and keep what the notebooks ask for.

A pass that was killed goes on when the same command is given again. Several processes share one with
  torchrun --standalone --nproc-per-node 2 -m kit.cli pass ...
"""
EXAMPLES = """examples:
  loupe pass stickers-l8 stickers:2000 --keep moments --out runs/l8.moments
  loupe pass ViT-B-16 imagenet:data/ILSVRC2012 --pretrained laion2b_s34b_b88k --keep store --out runs/imagenet
  loupe pass ViT-B-16 waterbirds:data/waterbirds:val --pretrained clip.pt --like openai \\
      --keep store --out runs/val
  loupe pass timm/vit_small_patch16_224.augreg_in1k holiday/photographs --keep means --out runs/holiday.means
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from kit.data.registry import written
    from kit.parts.collect import KEEPERS

    rows = {"FOLDER": "image files, sub-folders become labels"} | written()
    sets = "\n".join(["one of", *(f"  {words:<29}{about}" for words, about in rows.items())])
    made = argparse.ArgumentParser(
        "loupe pass", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("model", help="a name of kit.load")
    made.add_argument("images", help=sets)
    made.add_argument("--keep", choices=KEEPERS, default="moments")
    made.add_argument("--out", required=True, type=Path, help="file, or folder of a store")
    made.add_argument("--pretrained", help='tag, file, or "random"')
    made.add_argument("--like", help="the tag whose QuickGELU, mean and std a file follows")
    made.add_argument("--key", help='which of several sets of weights in a file, such as "teacher"')
    made.add_argument("--name", help="the set in words (default: that of the data set, or IMAGES)")
    made.add_argument("--selector", help='parts, such as "L-4:.H*"')
    made.add_argument("--batch", type=int, default=64, help="images at once (default: 64)")
    made.add_argument("--workers", type=int, default=0, help="processes that read images ahead")
    made.add_argument("--limit", type=int, help="take the first so many images")
    made.add_argument("--device", help="cpu, cuda, mps")
    return made


def run(arguments: list[str]) -> int:
    """Make the pass, and say what came of it."""
    from kit.data import as_set
    from kit.data.passes import place
    from kit.data.registry import read_set
    from kit.models import load
    from kit.models.memory import pass_memory
    from kit.parts import collect
    from kit.parts.files import listed_at
    from kit.parts.store_files import FILES

    given = parser().parse_args(arguments)
    expect_count("--batch", given.batch)
    expect_count("--workers", given.workers, 0)
    if given.limit is not None:
        expect_count("--limit", given.limit)
    rank, processes = place()
    model = load(given.model, given.pretrained, like=given.like, key=given.key, device=given.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what was passed over is said below
        images = read_set(given.images, given.limit)
    if rank == 0:
        say(
            f"{len(images):,} images through {model.label}, {given.batch} at once on {model.device}"
            f"{f', {processes} processes' if processes > 1 else ''}: "
            f"about {pass_memory(model, given.batch) / 2**20:,.0f} MiB for each batch."
        )
        for note in [*(model.notes if given.pretrained else ()), *getattr(images, "notes", ())]:
            say(note)
    images = as_set(images)
    name = given.name or getattr(images, "name", shown(given.images, 150))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what was left out is said below
            kept = collect(
                model, images, given.keep, name, given.batch, given.selector, given.out, given.workers
            )
    except KeyboardInterrupt:
        if rank == 0:
            say("Stopped. The same command goes on where it was.")
        return 130
    if rank == 0:
        count = len(kept) if given.keep == "store" else kept.count
        say(f"{given.keep} of {count:,} images in {given.out}.")
        listed = given.out / FILES if given.keep == "store" else listed_at(given.out)
        _say_damaged(images, len(images) - count, listed)
    return 0


def _say_damaged(images: "ImageSet", missing: int, listed: Path) -> None:
    """Name images that could not be read, and why; all of them are in the file `listed`."""
    if not missing:
        return
    say(f"{missing:,} could not be read; {'it is' if missing == 1 else 'they are'} listed in {listed}:")
    for number in sorted(images.damaged or {})[:NAMED]:
        say(f"  {shown(images.names[number])}: {images.damaged[number]}")
    if missing > NAMED:
        say(f"  … and {missing - NAMED:,} more.")


def say(line: str) -> None:
    """Print a line at once; what the terminal has no letters for as escapes."""
    letters = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(line.encode(letters, "backslashreplace").decode(letters) + "\n")
    sys.stdout.flush()
