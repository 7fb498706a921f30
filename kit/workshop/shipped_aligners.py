"""Fit the maps that a shipped tower comes with: `python -m kit.workshop.shipped_aligners stickers-swin`.

Both kinds lead into the space of `stickers-l8`: one map for all parts, and one for each part. They are fitted
on scenes without labels; their figures are of other scenes.
"""

import argparse
from pathlib import Path

from kit.measures import bootstrap_interval
from kit.models import load
from kit.models.model import Model
from kit.projections.aligned import OFFERED, Aligned, fitted, load_aligned, seen_by_both
from kit.projections.aligner_files import inputs_of, save_aligner, shipped_file
from kit.projections.aligners import centred_cosine
from kit.world import VERSION, draw

TOWERS = ("stickers-deit", "stickers-dino", "stickers-dinov2", "stickers-swin", "stickers-maxvit")
CLIP, KINDS = "stickers-l8", ("shared", OFFERED)
FIT, HELD = (7000, 4101), (2000, 4102)  # scenes and seed
SEED = 4100  # of bootstraps
LEFT_OUT = 4e-3  # share of each part's mapped variance that the files leave out: all are 3 MB together


def seen(model: Model, clip: Model, which: tuple[int, int], keep: Path):
    """Parts of a tower and the CLIP's view of the same scenes; kept in a folder, and read from there."""
    count, seed = which
    scenes = draw(count, seed, kind="single")
    return seen_by_both(model, clip, scenes, keep / str(seed))


def fidelity(tower: Aligned, store, target):
    """Centred cosine of the mapped sum and the CLIP's representation, over scenes, with its interval."""
    found = tower.aligner.total(inputs_of(store, tower.aligner.kind))
    return bootstrap_interval(centred_cosine(found, target), SEED)


def main() -> None:
    """Fit and write the maps of the named towers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=TOWERS)
    parser.add_argument("--keep", type=Path, default=Path("runs/align"), help="folder of both passes")
    given, clip = parser.parse_args(), load(CLIP)
    for name in given.names:
        model = load(name)
        (store, target), held = (seen(model, clip, which, given.keep) for which in (FIT, HELD))
        for kind in KINDS:
            tower = fitted(model, clip, store, target, kind)
            title, path = f"{FIT[0]:,} scenes (world {VERSION}, seed {FIT[1]})", shipped_file(name, kind)
            said = {"name": title, "command": f"python -m kit.workshop.shipped_aligners {name}"}
            save_aligner(path, tower, store, LEFT_OUT, **said)
            figure = fidelity(load_aligned(model, path, clip), *held)  # of what the file holds
            told = {"centred cosine": list(map(float, figure)), "scenes": HELD[0], "seed": HELD[1]}
            save_aligner(path, tower, store, LEFT_OUT, **said, held_out=told)
            print(f"{name} {kind}: centred cosine {figure}")


if __name__ == "__main__":
    main()
