"""Write the means that a shipped model comes with: `python -m kit.workshop.shipped_means stickers-l8`.

The reference set is 2,000 scenes of a fixed seed, of all kinds, background independent of the object.
"""

import argparse

import torch

from kit.models import load
from kit.models.names import SHIPPED, shipped_names
from kit.parts.collect import collect
from kit.parts.means import MEANS_FILE
from kit.world import VERSION, draw
from kit.world.values import SIZE

COUNT, SEED = 2000, 77_001


def main() -> None:
    """Collect and write the means of the named shipped models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=shipped_names())
    for name in parser.parse_args().names:
        model, scenes = load(name), draw(COUNT, SEED, kind="mixed")
        scenes = scenes.at(model.image_size[0] // SIZE)
        title = f"{COUNT:,} unbiased scenes (world {VERSION}, seed {SEED})"
        means = collect(model, scenes, name=title)
        means.save(SHIPPED / name / MEANS_FILE, dtype=torch.float16)
        print(f"{name}: {means.id}")


if __name__ == "__main__":
    main()
