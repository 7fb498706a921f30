"""Measure which attribute explains what each part writes: `python -m kit.workshop.cards.roles stickers-l8`.

Writes `roles.json` beside the weights (read it with `kit.roles`), the picture `data_cards/NAME-roles.png`
and the part "Roles" of `data_cards/NAME.md`. `--page` makes picture and page again from the figures that
are there.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

import kit.world as world
from kit.measures import Shares, family_bound, variance_share
from kit.models import load
from kit.models.model import Model
from kit.models.names import SHIPPED, shipped_names
from kit.parts import run
from kit.parts.roles import FORMAT, ROLES_FILE
from kit.workshop.cards.role_page import write_page
from kit.world import atlas
from kit.world.values import SEEN, SIZE
from kit.writing import write_file

# Unbiased scenes of seeds that no training, card, look or set of means draws: kind -> number, seed.
SCENES = {
    "single": (4096, 78_001),
    "count": (1024, 78_002),
    "pair": (1024, 78_003),
    "single_word": (2048, 78_004),
}
SEED = 9  # of folds, shuffles and bootstrap
PERMUTATIONS = 500
BATCH = 64
DIGITS = 4


class Question(NamedTuple):
    """An attribute of some scenes: its codes, the wider groups that it is measured in, and which scenes."""

    codes: Tensor  # [scene]
    scenes: Tensor  # bool [scene]
    within: Tensor | None = None  # [scene]


def asked(kind: str, codes: dict[str, Tensor]) -> dict[str, Question]:
    """What scenes of a kind are asked, so that chance alone ties an attribute to any other one."""
    every = torch.ones_like(codes["kind"], dtype=torch.bool)
    if kind == "count":
        return {"count": Question(codes["count"], every)}
    if kind == "pair":
        upright = codes["relation"] // 2  # left and right of, above and below
        relation = Question(codes["relation"], every, upright)
        return {"arrangement": Question(upright, every), "relation": relation}
    if kind == "single_word":
        concepts = torch.tensor([world.VALUES["concept"].index(w) for w in world.VALUES["word"]])
        return {"word": Question(codes["word"], concepts[codes["word"]] != codes["concept"])}
    recoloured = codes["colour"] > 0
    artists = [world.VALUES["artist"].index(name) for name in SEEN]
    drawn_by_all = atlas.available()[artists].all(0)[codes["concept"]]
    return {
        "category": Question(codes["category"], every),
        "concept": Question(codes["concept"], every, codes["category"]),
        "colour": Question(codes["colour"], recoloured),
        "texture": Question(codes["texture"], recoloured),
        "background": Question(codes["background"], every),
        "position": Question(codes["position"], every),
        "size": Question(codes["size"], every),
        "artist": Question(codes["artist"], drawn_by_all),
    }


def written(model: Model, scenes: world.Scenes) -> tuple[Tensor, pd.DataFrame]:
    """What each part writes over the length of the representation, [scene, part, embed], constants apart."""
    found, scale = [], model.image_size[0] // SIZE
    for start in tqdm(range(0, len(scenes), BATCH), desc="scenes", unit="batch", leave=False):
        images = scenes[start : start + BATCH].at(scale).images
        result = run(model, model.preprocess(images), tokens=False)
        varies = [i for i, kind in enumerate(result.index["kind"]) if kind != "bias"]
        found.append((result.vectors()[:, varies] / result.norm[:, None, None]).cpu())
    return torch.cat(found), result.index.iloc[varies]


def answers(
    outputs: Tensor, questions: dict[str, Question], **effort: int
) -> Iterator[tuple[str, Question, Shares]]:
    """The shares of every attribute that is asked; `effort`: permutations, draws."""
    for name, question in questions.items():
        codes, chosen, within = question
        within = None if within is None else within[chosen]
        yield name, question, variance_share(outputs[chosen], codes[chosen], within, seed=SEED, **effort)


def measure(model: Model) -> dict:
    """Everything that `roles.json` holds."""
    start, attributes, nulls = time.process_time(), {}, []
    for kind, (number, seed) in tqdm(SCENES.items(), desc=model.name, unit="kind of scenes"):
        scenes = world.draw(number, seed, kind=kind)
        outputs, index = written(model, scenes)
        questions = asked(kind, scenes.codes)
        for name, question, shares in answers(outputs, questions, permutations=PERMUTATIONS):
            facts = {"kind": kind, "seed": seed, "scenes": int(question.scenes.sum())}
            figures = {"share": shares.share, "low": shares.low, "high": shares.high}
            attributes[name] = facts | figures | {"null": shares.null.quantile(0.95, dim=0)}
            nulls.append(shares.null)
    bounds = family_bound(torch.cat(nulls, 1)).split(len(index))
    for measured, bound in zip(attributes.values(), bounds):
        measured["bound"] = bound
    parts = index[["name", "layer", "head", "kind"]].astype(object)
    return {
        "format": FORMAT,
        "model": model.name,
        "weights_hash": model.weights_hash,
        "world": world.VERSION,
        "seed": SEED,
        "permutations": PERMUTATIONS,
        "cpu_seconds": round(time.process_time() - start),
        "parts": parts.where(parts.notna(), None).values.tolist(),
        "attributes": {name: rounded(measured) for name, measured in attributes.items()},
    }


def rounded(measured: dict) -> dict:
    """Tensors as lists of rounded figures."""
    return {
        k: [round(x, DIGITS) for x in v.tolist()] if isinstance(v, Tensor) else v for k, v in measured.items()
    }


def save(found: dict, path: Path) -> None:
    """Write the file, a line for each attribute, first under a temporary name."""
    attributes = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found["attributes"].items())
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items() if k != "attributes"]
    text = ",\n".join([*lines, f'"attributes": {{\n{attributes}\n}}'])
    write_file(path, f"{{\n{text}\n}}\n")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", choices=shipped_names(), metavar="NAME")
    parser.add_argument("--page", action="store_true", help="only make picture and page again")
    given = parser.parse_args(arguments)
    for name in given.names:
        path = SHIPPED / name / ROLES_FILE
        if not given.page:
            save(measure(load(name)), path)
        write_page(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
