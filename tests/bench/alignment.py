"""Which map of parts into a CLIP's space to take: `python -m tests.bench.alignment` writes docs/alignment.md.

Five shipped towers, mapped into the space of stickers-l8 by every kind of map, on scenes without labels. The
maps are held against what is known of the parts without any map: the share of their variance that an
attribute explains, and what pairs of scenes that differ in it alone do to them. Each tower's figures are kept
as JSON in a folder, so that the page can be made again; passes are kept there too.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, gelu, normalize

import kit.world as world
from kit.measures import bootstrap_interval, pair_effects, variance_share
from kit.models import load
from kit.parts import run
from kit.projections import centred_cosine, disagreement, fit, rank_parts, shared_rank
from kit.projections.aligner_files import inputs_of
from kit.projections.aligners import BATCH, EPOCHS, RATE, Aligner, polar
from kit.projections.ranking import SCORES
from kit.workshop.cards.roles import asked
from kit.workshop.shipped_aligners import CLIP, FIT, HELD, SEED, TOWERS, seen

PAGE = Path(__file__).parents[2] / "docs" / "alignment.md"
LINEAR = {
    "shared": ("shared", {}),
    "ridge": ("ridge", {}),
    "marginal": ("marginal", {}),
    "procrustes": ("procrustes", {}),
    "cosine, isometry 1": ("cosine", {"isometry": 1.0}),
    "cosine, isometry 0": ("cosine", {"isometry": 0.0}),
    "orthogonal": ("orthogonal", {}),
}
FIVE = ("background", "position", "size", "colour", "texture")
MORE = (*FIVE, "category", "concept")
AXES = {"concept": 8}  # of a bank of 146 texts
OTHER = "stickers-s8"  # whose shared map is the most that can be hoped for
PAIRS, PAIR_SEED, DRAWS, HIDDEN = 150, 4103, 1000, 128


def nonlinear(parts: Tensor, target: Tensor, count: int, seed: int = 0):
    """A small network for each part, or one for all (`count` = 1): a function of parts, and a bias."""
    chance, (_, every, dim) = torch.Generator().manual_seed(seed), parts.shape
    middle, unit = parts.mean(0), (parts - parts.mean(0)).square().sum((1, 2)).mean().sqrt()
    first = (torch.randn(count, dim, HIDDEN, generator=chance) / dim**0.5).requires_grad_()
    last = (
        0.1 * torch.randn(count, HIDDEN, target.shape[1], generator=chance) / HIDDEN**0.5
    ).requires_grad_()
    shift = target.mean(0).clone().requires_grad_()

    def mapped(some: Tensor) -> Tensor:
        inside = (some - middle) * (every / unit)
        one, other = (t.expand(every, -1, -1) for t in (first, last))
        hidden = gelu(torch.einsum("npd,pdh->nph", inside, one))
        return torch.einsum("nph,phe->npe", hidden, other) / every

    step = lambda some, rows: 1 - cosine_similarity(mapped(some).sum(1) + shift, target[rows]).mean()  # noqa: E731
    _train([first, last, shift], parts, step, chance)
    with torch.no_grad():
        return lambda some: torch.cat([mapped(s).detach() for s in some.split(500)]), shift.detach()


def contrastive(parts: Tensor, captions: Tensor, seed: int = 0) -> Aligner:
    """A matrix for each part, so that the sum tells its own caption from those of the batch."""
    chance, (_, every, dim) = torch.Generator().manual_seed(seed), parts.shape
    middle, unit = parts.mean(0), (parts - parts.mean(0)).square().sum((1, 2)).mean().sqrt()
    weights = (0.02 * torch.randn(every, dim, captions.shape[1], generator=chance)).requires_grad_()
    shift = captions.mean(0).clone().requires_grad_()

    def step(some: Tensor, rows: Tensor) -> Tensor:
        total = torch.einsum("npd,pde->ne", (some - middle) / unit, weights) + shift
        logits = 20 * normalize(total, dim=-1) @ captions[rows].T
        own = torch.arange(len(rows))
        return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2

    _train([weights, shift], parts, step, chance)
    matrices = weights.detach() / unit
    return Aligner("contrastive", matrices, shift.detach() - torch.einsum("pd,pde->e", middle, matrices))


def _train(numbers: list[Tensor], parts: Tensor, loss, chance: torch.Generator) -> None:
    optimizer = torch.optim.Adam(numbers, lr=RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(parts), generator=chance).split(BATCH):
            optimizer.zero_grad()
            loss(parts[rows], rows).backward()
            optimizer.step()


def fits(store, target: Tensor, captions: Tensor):
    """name -> CPU seconds, and what maps parts of other images and gives their sum."""
    for name, (kind, options) in LINEAR.items():
        start = time.process_time()
        aligner = fit(kind, inputs_of(store, kind), target, **options)
        yield name, time.process_time() - start, aligner.parts, aligner.bias
    parts, start = store.vectors(), time.process_time()
    aligner = contrastive(parts, captions)
    yield "contrastive, with captions", time.process_time() - start, aligner.parts, aligner.bias
    for name, count in (("one network", 1), ("a network for each part", parts.shape[1])):
        start = time.process_time()
        mapped, shift = nonlinear(parts, target, count)
        yield name, time.process_time() - start, mapped, shift


def truth(model, parts: Tensor, names: list[str], codes: dict) -> dict[str, dict[str, list[float]]]:
    """What is known of each part without a map: variance shares, and selectivity by pairs."""
    shares, outputs = {}, {}
    for name, (values, chosen, within) in asked("single", codes).items():
        if name in MORE:
            within = None if within is None else within[chosen]
            found = variance_share(parts[chosen], values[chosen], within, seed=SEED, permutations=2, draws=2)
            shares[name] = found.share.tolist()
    for name in FIVE:
        pairs = world.pairs(name, PAIRS, seed=PAIR_SEED)
        outputs[name] = tuple(_vectors(model, scenes, names) for scenes in (pairs.first, pairs.second))
    effects = pair_effects(outputs, seed=SEED, draws=2)
    return {"variance share": shares, "pairs": {n: effects.selectivity(n)["value"].tolist() for n in FIVE}}


def _vectors(model, scenes, names: list[str]) -> Tensor:
    found = []
    for start in range(0, len(scenes), 50):
        held = run(model, model.preprocess(scenes.images[start : start + 50]), tokens=False)
        rows = [held.index["name"].tolist().index(n) for n in names]
        found.append(held.vectors()[:, rows] / held.norm[:, None, None])
    return torch.cat(found)


def probes(store, held, fit_codes: dict, codes: dict) -> dict[str, float]:
    """What a linear classifier reads of each attribute from the tower's own representation."""
    inside, outside = (inputs_of(s, "shared")[:, 0].numpy() for s in (store, held))
    found = {}
    for name in FIVE:
        some, rest = (asked("single", c)[name].scenes.numpy() for c in (fit_codes, codes))
        probe = LogisticRegression(C=100, max_iter=300).fit(inside[some], fit_codes[name].numpy()[some])
        found[name] = float(probe.score(outside[rest], codes[name].numpy()[rest]))
    return found


def apart(parts: Tensor, target: Tensor, held: Tensor, truth: Tensor) -> list[list]:
    """Fits that are equally good, and how far they disagree on parts: name, cosines of both, disagreement."""
    chance, rows = torch.Generator().manual_seed(7), []
    dim, embed = parts.shape[2], target.shape[1]
    turns = torch.stack([polar(torch.randn(dim, embed, generator=chance)) for _ in range(parts.shape[1])])
    other = Aligner("orthogonal", turns, target.mean(0))
    for name, kind, one, two in (
        ("cosine, isometry 0, two seeds", "cosine", {"isometry": 0.0}, {"isometry": 0.0, "seed": 1}),
        ("cosine, isometry 1, two seeds", "cosine", {}, {"seed": 1}),
        ("orthogonal, two starts", "orthogonal", {}, {"start": other}),
    ):
        both = [fit(kind, parts, target, **options) for options in (one, two)]
        cosines = [float(centred_cosine(a.total(held), truth).mean()) for a in both]
        rows.append([name, *cosines, float(disagreement(*(a.parts(held) for a in both)).mean())])
    return rows


def measure(name: str, keep: Path) -> dict:
    """All figures of one tower."""
    model, clip = load(name), load(CLIP)
    (store, target), (held, aim) = (seen(model, clip, which, keep) for which in (FIT, HELD))
    scenes, others = (world.draw(count, seed, kind="single") for count, seed in (FIT, HELD))
    parts, codes, names = held.vectors(), others.codes, held.index["name"].tolist()
    captions = clip.encode_text(world.captions_for(scenes, 0)[0])
    found = {
        "parts": names,
        "shared rank": shared_rank(parts),
        "truth": truth(model, parts, names, codes),
        "probe": probes(store, held, scenes.codes, codes),
        "apart": apart(store.vectors(), target, parts, aim),
        "kinds": {},
    }
    texts = {a: clip.encode_text(world.prompts(a)) for a in MORE}
    questions = asked("single", codes)
    for kind, seconds, mapped_of, bias in fits(store, target, captions):
        mapped = mapped_of(parts)
        total = (mapped_of(inputs_of(held, kind)) if kind == "shared" else mapped).sum(1) + bias
        scores = {}
        for a in MORE:
            rows = questions[a].scenes
            table = rank_parts(mapped[rows], texts[a], names, axes=AXES.get(a))
            scores[a] = {s: table[s].tolist() for s in SCORES}
        right = {
            a: float(((total @ texts[a].T).argmax(1) == codes[a])[questions[a].scenes].double().mean())
            for a in FIVE
        }
        found["kinds"][kind] = {
            "seconds": seconds, "right": right, "scores": scores,
            "cosine": list(bootstrap_interval(centred_cosine(total, aim), SEED)),
        }  # fmt: skip
        print(
            f"{name} {kind}: {seconds:.1f} s, centred cosine {found['kinds'][kind]['cosine'][0]:.3f}",
            flush=True,
        )
    return found


def ceiling(keep: Path) -> list[float]:
    """Centred cosine that one map for all reaches from another CLIP, with its interval."""
    model, clip = load(OTHER), load(CLIP)
    (store, target), (held, aim) = (seen(model, clip, which, keep) for which in (FIT, HELD))
    aligner = fit("shared", inputs_of(store, "shared"), target)
    found = centred_cosine(aligner.total(inputs_of(held, "shared")), aim)
    return list(bootstrap_interval(found, SEED))


def agreements(found: dict, kind: str, score: str, judge: str, rng: np.random.Generator) -> np.ndarray:
    """Spearman of a score with a truth, [1 + draw, attribute of FIVE]; draws take parts again."""
    known = np.array([found["truth"][judge][a] for a in FIVE])
    values = np.array([found["kinds"][kind]["scores"][a][score] for a in FIVE])
    count = known.shape[1]
    taken = [np.arange(count), *rng.integers(0, count, (DRAWS, count))]
    return np.array([[spearmanr(v[t], k[t]).statistic for v, k in zip(values, known)] for t in taken])


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(TOWERS))
    parser.add_argument("--keep", type=Path, default=Path("runs/align"))
    given = parser.parse_args()
    for name in given.names:
        path = given.keep / f"{name}.json"
        if not path.is_file():
            path.write_text(json.dumps(measure(name, given.keep)), encoding="utf-8")
    path = given.keep / f"{OTHER}.json"
    if not path.is_file():
        path.write_text(json.dumps(ceiling(given.keep)), encoding="utf-8")
    most = json.loads(path.read_text(encoding="utf-8"))
    from tests.bench.alignment_page import write

    found = {n: json.loads((given.keep / f"{n}.json").read_text(encoding="utf-8")) for n in TOWERS}
    PAGE.write_text(
        write(found, most, partial(agreements, rng=np.random.default_rng(SEED))), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
