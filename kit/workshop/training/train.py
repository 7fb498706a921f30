"""Train a model of the kit: `python -m kit.workshop.training.train stickers-l8`.

The training can be killed at any moment; the same command goes on from the last
checkpoint. When it ends, the model lies in `<folder>/model`, as its own library reads it.
"""

import argparse
import csv
import io
import time
from pathlib import Path

import timm
import torch
from tqdm import tqdm

from kit.errors import KitError, nearest
from kit.workshop.training.clip import ClipTraining
from kit.workshop.training.distil import DistilTraining
from kit.workshop.training.export import export_clip, export_timm
from kit.workshop.training.labels import LabelTraining
from kit.workshop.training.loop import Training
from kit.workshop.training.progress import ClipProgress, DistilProgress, LabelProgress
from kit.workshop.training.recipe import CHUNK, ClipRecipe, DistilRecipe, LabelRecipe, Recipe
from kit.workshop.training.recipes import RECIPES
from kit.writing import write_file

LOG_EVERY = 8 * CHUNK  # images between two rows of losses
LOOK_EVERY = 24 * CHUNK  # images between two looks at the accuracy
KINDS = {  # of recipe: how it is trained, looked at, exported
    ClipRecipe: (ClipTraining, ClipProgress, export_clip),
    LabelRecipe: (LabelTraining, LabelProgress, export_timm),
    DistilRecipe: (DistilTraining, DistilProgress, export_timm),
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        KitError: there is none.
    """
    if name not in RECIPES:
        raise KitError(f'no recipe "{name}": there are {", ".join(RECIPES)}.{nearest(name, RECIPES)}')
    return RECIPES[name]


class Log:
    """Rows of a CSV file with one header; rows after `seen` images are dropped when a training goes on."""

    def __init__(self, path: Path, seen: int, fields: tuple[str, ...]):
        self.path, self.fields, rows = path, ("seen", "seconds", "rate", "loss", *fields), []
        if path.exists():
            with path.open(newline="") as file:
                rows = [r for r in csv.DictReader(file) if int(r["seen"]) <= seen]
        held = io.StringIO(newline="")
        writer = csv.DictWriter(held, self.fields)
        writer.writeheader()
        writer.writerows(rows)
        write_file(path, held.getvalue())

    def add(self, row: dict) -> None:
        """Append one row; absent fields stay empty."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.fields).writerow(row)


def train(training: Training, minutes: float | None = None, save_minutes: float = 3.0) -> bool:
    """Train until the recipe's end, or for `minutes`; saves the state now and then and at the end.

    Returns:
        True if the recipe's end was reached.
    """
    path = training.folder / "checkpoint.pt"
    if path.exists():
        training.load(path)
    recipe, progress = training.recipe, KINDS[type(training.recipe)][1](training)
    log = Log(training.folder / "log.csv", training.seen, (*training.LOSSES, *progress.FIELDS))
    started = saved = time.monotonic()
    before, sums, steps = training.seconds, {}, 0
    with tqdm(total=recipe.samples, initial=training.seen, unit="img", smoothing=0.02, mininterval=5) as bar:
        while training.seen < recipe.samples:
            for name, value in training.step().items():
                sums[name] = sums.get(name, 0.0) + value
            steps += 1
            bar.update(training.seen - bar.n)
            training.seconds = before + time.monotonic() - started
            ends = training.seen >= recipe.samples
            if training.seen % LOG_EVERY == 0 or ends:
                row = {n: round(v / steps, 4) for n, v in sums.items()}
                row |= {
                    "seen": training.seen,
                    "seconds": round(training.seconds),
                    "rate": round(recipe.rate(training.seen), 4),
                }
                if training.seen % LOOK_EVERY == 0 or ends:
                    row |= progress.look()
                    bar.set_postfix(loss=row["loss"], full=row["s_full"], clean=row["s_clean"])
                log.add(row)
                sums, steps = {}, 0
            out_of_time = minutes is not None and time.monotonic() - started > minutes * 60
            if ends or out_of_time or time.monotonic() - saved > save_minutes * 60:
                training.save(path)
                saved = time.monotonic()
            if out_of_time:
                break
    return training.seen >= recipe.samples


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--folder", type=Path, help="checkpoint, log and result (default: runs/NAME)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--samples", type=int, help="images to see, phases in proportion (default: the recipe's)"
    )
    parser.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the shards of a batch have a thread each
    timm.layers.set_fused_attn(False)  # backwards it is slow on a CPU
    torch.set_flush_denormal(True)  # attention that learnt to look away makes them, and they are slow
    recipe = recipe_named(given.name)
    if given.samples:
        recipe = recipe.scaled(given.samples)
    kind, _, export = KINDS[type(recipe)]
    training = kind(recipe, given.folder or Path("runs") / given.name, given.device)
    if train(training, given.minutes):
        export(training, training.folder / "model")


if __name__ == "__main__":
    main()
