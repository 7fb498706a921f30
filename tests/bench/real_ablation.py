"""Section 2 of the document on real weights: accuracy on photographs before and after mean ablation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import kit
from kit.edits.by_layer import BACK, FORWARD, layer_selectors
from kit.measures import bootstrap_interval, hits
from kit.models.directions import directions
from kit.parts import select
from tests.bench.real_data import open_clip_layout, photographs, reference_set, texts, timm_layout
from tests.bench.real_maps import table

SETS = ("coco128", "ants_bees", "noise")
DRAWS = 20
LAYERS = 12
MLPS, HEADS = "L*.MLP", "L*.attn"


@dataclass
class Answers:
    """How a tower answers the photographs, as it is and with parts replaced.

    Attributes:
        model: the tower.
        runs: its passes over the photographs.
        score: representation -> scores of all candidates, [batch, class].
        labels: number of the right candidate, int64 [photo].
        means: of the reference sets, by name.
    """

    model: object
    runs: list
    score: Callable[[Tensor], Tensor]
    labels: Tensor
    means: dict

    def right(self, selector: str, effect: str = "direct", replace: str = "coco128", top: int = 1) -> Tensor:
        """Whether each photograph is answered rightly with these parts replaced, 0 or 1, [photo].

        `replace` names a reference set, or is "zero".
        """
        how = {"replace": "zero"} if replace == "zero" else {"means": self.means[replace]}
        after = [kit.ablate(self.model, run, selector, effect=effect, **how).embedding for run in self.runs]
        return hits(self.score(torch.cat(after)), self.labels, top).double()

    @cached_property
    def change(self) -> Tensor:
        """What replacing each part by its mean adds to the representation, [photo, part, embed]."""
        means = self.means["coco128"].parts
        return torch.cat([means * run.norm[:, None, None] - run.vectors() for run in self.runs])

    def drawn(self, selectors: list[str]) -> Tensor:
        """Mean over several selectors, direct effect, [photo]: many at once, as `right` would be slow."""
        before, index = torch.cat([run.representation for run in self.runs]), self.runs[0].index
        found = []
        for selector in selectors:
            after = before + self.change[:, select(index, selector)].sum(1)
            found.append(hits(self.score(after), self.labels).double())
        return torch.stack(found).mean(0)


def answers(model, score, labels: Tensor, sets=SETS) -> Answers:
    """Passes over the photographs and the means of the reference sets."""
    paths = photographs()[0]
    chunks = [paths[start : start + 64] for start in range(0, len(paths), 64)]
    runs = [
        kit.run(model, model.preprocess(chunk), tokens=False) for chunk in tqdm(chunks, desc="photographs")
    ]
    means = {}
    for name in tqdm(sets, desc="means"):
        images = reference_set(name)
        means[name] = kit.collect(model, images, name=f"{name}, {len(images)} images")
    return Answers(model, runs, score, labels, means)


def percent(values: Tensor) -> str:
    """A mean over photographs in per cent, with its interval."""
    found = bootstrap_interval(values, seed=0)
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def attention(layers) -> str:
    """Selector of all heads of these layers."""
    return ", ".join(f"L{layer}.attn" for layer in layers)


def random_layers(count: int) -> list[str]:
    """Selectors of the heads of `count` layers drawn at random."""
    rng = np.random.default_rng(0)
    return [attention(rng.choice(LAYERS, count, replace=False)) for _ in range(DRAWS)]


def random_parts(index, kinds: tuple[str, ...], count: int) -> list[str]:
    """Selectors of `count` parts of these kinds drawn at random."""
    rng, names = np.random.default_rng(0), index["name"][index["kind"].isin(kinds)].to_numpy()
    return [", ".join(rng.choice(names, count, replace=False)) for _ in range(DRAWS)]


def mlp_table(found: Answers) -> str:
    """Accuracy without any MLP, and without as many other parts."""
    whole, index = found.right("none"), found.runs[0].index
    direct = {
        "nothing": whole,
        "all 12 MLPs": found.right(MLPS),
        "MLPs of layers 0–5": found.right("L0-5.MLP"),
        "MLPs of layers 6–11": found.right("L6-11.MLP"),
        f"12 random heads ({DRAWS} draws)": found.drawn(random_parts(index, ("head",), LAYERS)),
        f"12 random heads or MLPs ({DRAWS} draws)": found.drawn(random_parts(index, ("head", "mlp"), LAYERS)),
        "all 36 heads": found.right(HEADS),
    }
    total = {"nothing": whole, "all 12 MLPs": found.right(MLPS, "total")}
    total |= {f"MLPs of layers {a}–{b}": found.right(f"L{a}-{b}.MLP", "total") for a, b in ((0, 5), (6, 11))}
    total["all 36 heads"] = found.right(HEADS, "total")
    rows = [
        [name, percent(after), percent(after - whole), percent(total[name]) if name in total else "–"]
        for name, after in direct.items()
    ]
    return table(["replaced by its mean", "direct", "change, paired", "total"], rows)


def layers_table(found: Answers, total: bool) -> str:
    """Accuracy without the attention of the first k layers, of the last k, and of k random ones."""
    rows = []
    selectors = layer_selectors(LAYERS)
    pairs = list(zip(selectors[FORWARD], selectors[BACK][::-1], strict=True))
    for count, (first, last) in enumerate(tqdm(pairs, desc="layers"), 1):
        early, late = found.right(first), found.right(last)
        other = found.drawn(random_layers(count))
        row = [str(count), percent(early), percent(late), percent(other), percent(early - other)]
        rows.append(row + ([percent(found.right(s, "total")) for s in (first, last)] if total else []))
    head = ["layers", "first, direct", "last, direct", "random, direct", "first minus random, paired"]
    return table(head + (["first, total", "last, total"] if total else []), rows)


def sets_table(found: Answers) -> str:
    """The same ablations with the means of other reference sets, and with zero."""
    chosen = {
        "all 12 MLPs": MLPS, "attention of layers 0–7": "L0-7.attn", "attention of layers 8–11": "L8-11.attn",
    }  # fmt: skip
    rows = []
    for name in (*found.means, "zero"):
        shown = found.means[name].id if name in found.means else "zero, no reference set"
        rows.append([shown, *(percent(found.right(selector, replace=name)) for selector in chosen.values())])
    return table(["put in the part's place", *chosen], rows)


def loss_table(found: Answers, own: Tensor) -> str:
    """How much of its own class's score a photograph loses when parts are replaced by their mean.

    Args:
        own: unit direction of each photograph's own class, [photo, embed].
    """
    norm = torch.cat([run.norm for run in found.runs])
    lost = -torch.einsum("bpe,be->bp", found.change, own).double() / norm[:, None]  # [photo, part]
    index, rows = found.runs[0].index, []
    for layer in range(LAYERS):
        mine = (index["layer"] == layer).fillna(False)
        cells = [lost[:, (mine & (index["kind"] == kind)).to_numpy()].sum(1) for kind in ("head", "mlp")]
        rows.append([f"L{layer}", *(str(bootstrap_interval(cell, seed=0)) for cell in cells)])
    cells = [lost[:, (index["kind"] == kind).to_numpy()].sum(1) for kind in ("head", "mlp")]
    rows.append(["all", *(str(bootstrap_interval(cell, seed=0)) for cell in cells)])
    return table(["layer", "heads", "MLP"], rows)


def timm_answers() -> tuple[Answers, Tensor]:
    """The classifier on its own 200 outputs, and the direction of each photograph's class."""
    model, labels = timm_layout(), photographs()[1]
    own = directions(model, "classes").vectors[labels]
    return answers(model, model.library_model.head, labels), own


def text_answers() -> dict[str, Answers]:
    """The bridged tower on text directions: of the 182 names of the photographs, and of all 1,000."""
    model, labels, vectors = open_clip_layout(), photographs()[2], texts()[1]
    every = answers(model, lambda z: z @ vectors.T, labels, SETS[:1])
    known = vectors[labels]  # one photograph for each class, so its row is its label
    some = Answers(model, every.runs, lambda z: z @ known.T, torch.arange(len(labels)), every.means)
    return {"the 182 names of the photographs": some, "all 1,000 names": every}


def said(found: Answers) -> str:
    """What the tables say of MLPs and of the first and last layers, in words."""
    whole = found.right("none")
    changes = {
        "all MLPs": MLPS, "the attention of the first eight layers": "L0-7.attn",
        "the attention of the last four": "L8-11.attn",
    }  # fmt: skip
    words = []
    for name, selector in changes.items():
        change = bootstrap_interval(found.right(selector) - whole, seed=0)
        apart = "" if change.high < 0 or change.low > 0 else ", an interval that holds zero"
        interval = f"[{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
        words.append(f"{name}, {100 * change.value:+.1f} points {interval}{apart}")
    return (
        f"Replacing parts by their means (direct effect) changes {percent(whole)} % by: {'; '.join(words)}."
    )


def section() -> tuple[str, str]:
    """What the second section says in short, and the section."""
    found, own = timm_answers()
    bridged = text_answers()
    error = 100 * float(found.right("none").std()) / len(own) ** 0.5
    text_tables = "\n".join(
        f"Candidates: {name}. Unchanged {percent(one.right('none'))}, among the best five "
        f"{percent(one.right('none', top=5))}. {said(one)}\n\n{layers_table(one, total=False)}"
        for name, one in bridged.items()
    )
    rows = []
    for name, one in bridged.items():
        after = [percent(one.right(MLPS, effect)) for effect in ("direct", "total")]
        rows.append([name, percent(one.right("none")), *after])
    short = said(found)
    text = f"""{INTRODUCTION}
### 2.1 The classifier, all 200 outputs as candidates

Standard error of the unchanged accuracy: {error:.1f} points. {short}

{mlp_table(found)}
The attention of the first *k* layers, of the last *k*, and of *k* layers drawn at random ({DRAWS} draws,
seed 0, averaged):

{layers_table(found, total=True)}
Other reference sets, direct effects:

{sets_table(found)}
Why: the part of its cosine with its own class's direction that a photograph loses when heads or MLP of a
layer are replaced by their means.

{loss_table(found, own)}
### 2.2 The bridged tower, real text directions as candidates

The photographs show the 182 classes from which the bridge was fitted; the other 818 names are distractors.

{table(["candidates", "unchanged", "all MLPs, direct", "all MLPs, total"], rows)}
{text_tables}"""
    return short, text


INTRODUCTION = """## 2. Accuracy before and after mean ablation

Mean ablation puts in a part's place what it writes on average over a reference set, so that it no longer
tells one image from another. *Direct effect*: the part is replaced in the sum, all else frozen. *Total
effect*: its output is replaced inside the tower, at every token, and later layers run again. The
reference set is coco128 unless another is named; it never holds the photographs that are answered: 182,
one for each class that can be tested. Figures are top-1 accuracies in per cent, and differences of them
in points.
"""
