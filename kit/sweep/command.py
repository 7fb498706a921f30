"""`loupe sweep`: everything of notebooks 11 to 16 on real data, and a report of it."""

import argparse
import sys
from pathlib import Path

from kit.data.registry import DATA_SETS

PAPERS = {kind: one for kind, one in DATA_SETS.items() if one.asked}
DESCRIPTION = """Measure everything of notebooks 11 to 16 with a model and the paper's data sets.

Every set is optional, and stages without theirs are listed as not run. A sweep that was killed goes on when
the same command is given again; what is done is not done again.
"""
EXAMPLES = """examples:
  loupe sweep ViT-B-16 --pretrained laion2b_s34b_b88k --imagenet data/ILSVRC2012 \\
      --waterbirds data/waterbird_complete95_forest2water2 --segmentation data/gtsegs_ijcv.mat \\
      --out runs/paper1
  loupe sweep ViT-B-16 --pretrained random --imagenet tiny/imagenet --candidates present --out runs/trial

The report is report.html and report.json in the folder of --out. Notebooks 11 to 16 show its tables
where the folder is runs/paper1, or where KIT_REPORT names it. Exit status: 1 where a stage failed.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "loupe sweep", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("model", help="a name of kit.load, with a text tower")
    made.add_argument("--pretrained", help='tag, file, or "random"')
    made.add_argument("--like", help="the tag whose QuickGELU, mean and std a file follows")
    made.add_argument("--key", help='which of several sets of weights in a file, such as "teacher"')
    for kind, one in PAPERS.items():
        splits = " and ".join(one.asked)
        made.add_argument(f"--{kind}", type=Path, metavar=one.place, help=f"{one.title} ({splits})")
    made.add_argument("--words", type=Path, help="a further bank: a file with one text on each line")
    made.add_argument("--out", required=True, type=Path, help="folder of stores, texts and report")
    made.add_argument(
        "--candidates", default="all", help="all (default): all 1,000 classes; present: those in the folder"
    )
    made.add_argument("--limit", type=int, help="take so many images of each set, spread evenly")
    made.add_argument("--last", type=int, default=4, help="layers whose heads get texts (default: 4)")
    made.add_argument("--draws", type=int, default=200, help="random sets of heads (default: 200)")
    made.add_argument("--seed", type=int, default=0, help="of halves, draws and intervals (default: 0)")
    made.add_argument("--batch", type=int, default=64, help="images at once (default: 64)")
    made.add_argument("--workers", type=int, default=0, help="processes that read images ahead")
    made.add_argument("--device", help="cpu, cuda, mps")
    return made


def run(arguments: list[str]) -> int:
    """Make the sweep, and say what came of it."""
    from kit.models import load
    from kit.sweep import Settings, sweep

    given = parser().parse_args(arguments)
    names = ("candidates", "limit", "last", "draws", "seed", "words", "batch", "workers")
    settings = Settings(**{name: getattr(given, name) for name in names})
    model = load(given.model, given.pretrained, like=given.like, key=given.key, device=given.device)
    for note in model.notes if given.pretrained else ():
        say(note)
    folders = {kind: getattr(given, kind) for kind in PAPERS}
    done = sweep(model, given.out, **folders, settings=settings, say=say)
    say(f"Report: {given.out / 'report.html'}, {given.out / 'report.json'}.")
    return int(bool(done.failed))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
