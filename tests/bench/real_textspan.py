"""TextSpan on a real tower and real text directions, written to docs/real_textspan.md.

`python -m tests.bench.real_textspan`; `KIT_REAL_WEIGHTS` names the folder of weights and photographs.
"""

import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

import kit
from kit.measures import bootstrap_interval, hits
from kit.projections import Bank, reconstructed
from tests.bench.harness import settings
from tests.bench.real_data import open_clip_layout, photographs, reference_set, texts
from tests.bench.real_maps import table

PAGE = Path(__file__).parents[2] / "docs" / "real_textspan.md"
HEADS = "L8-11.H*"  # the last four layers, as in the paper
EARLY = "L0-7.H*"
COUNTS = (1, 2, 5, 10, 20, 40, 64)
NEAR = 10  # photographs with the largest score for a head's first text
DEALS = 200


def banks(model) -> dict[str, Bank]:
    """Real class directions as they are and about their mean, and as many random ones."""
    names, vectors = texts()
    centred = normalize(vectors - vectors.mean(0), dim=-1)
    kept = {"class texts": vectors, "class texts, centred": centred}
    found = {name: Bank(names, v, None, name, model.weights_hash) for name, v in kept.items()}
    return found | {"random directions": Bank.random(model, len(names))}


def explained_table(moments, every: dict[str, Bank]) -> str:
    """Mean over heads of the share of variance that so many texts explain."""
    rows = []
    for name, bank in every.items():
        spans = kit.textspan(moments, bank, max(COUNTS))
        shares = [spans.first(m).table.groupby("part")["share"].sum().mean() for m in COUNTS]
        rows.append([name, *(f"{100 * share:.0f}" for share in shares)])
    return table(["bank", *(f"{m} text{'s' * (m > 1)}" for m in COUNTS)], rows)


def accuracy_table(store, moments, every: dict[str, Bank]) -> tuple[str, str]:
    """Top-1 accuracy with texts in place of the heads of the last layers, the earlier ones mean-ablated."""
    known = texts()[1][photographs()[2]]  # the 182 names, in the order of the photographs
    labels = torch.arange(len(known))
    right = lambda cosines: 100 * hits(cosines, labels).double()  # noqa: E731
    whole = right(store.cosines(known))
    asked, means = kit.edits.asked(store, known, labels, [*range(len(known))]), kit.edits.Means.of(store)
    base = asked.after(EARLY, means)
    early, both = right(base), right(asked.after("L*.H*", means))
    rows, found = [], {}
    for name, bank in every.items():
        spans = kit.textspan(moments, bank, max(COUNTS))
        hit = reconstructed(store, spans, known, labels, COUNTS, base=base)
        found |= {(name, m): 100 * each.double() for m, each in hit.items()}
        rows.append([name, *(f"{found[name, m].mean():.1f}" for m in COUNTS)])
    gaps = {
        m: bootstrap_interval((found["class texts", m] - found["random directions", m]).numpy(), seed=0)
        for m in COUNTS
    }
    rows.append(
        ["class texts − random", *(f"{g.value:+.1f} [{g.low:+.1f}, {g.high:+.1f}]" for g in gaps.values())]
    )
    said = (
        f"Nothing replaced: {whole.mean():.1f} %. Heads of the first eight layers mean-ablated: "
        f"{early.mean():.1f} %. All heads mean-ablated: {both.mean():.1f} %."
    )
    return said, table(["bank", *(f"{m} text{'s' * (m > 1)}" for m in COUNTS)], rows)


def _fit(store, spans, bank: Bank, own: Tensor) -> Tensor:
    """For each head: how much closer to its first text the names of its nearest photographs are, [part].

    Mean cosine of that text with the true classes of the `NEAR` photographs of the largest score, minus
    that with the true classes of all photographs.
    """
    first = spans.table[spans.table["rank"] == 1]
    vectors = bank.vectors[[bank.texts.index(text) for text in first["text"]]]  # [part, embed]
    scores = store.scores(vectors[:, None], selector=HEADS)[:, :, 0]  # [photo, part]
    near = scores.topk(NEAR, dim=0).indices  # [near, part]
    cosines = own @ vectors.T  # [photo, part]
    return cosines.gather(0, near).mean(0) - cosines.mean(0)


def truth_table(store, moments, every: dict[str, Bank]) -> str:
    """Whether the photographs for which a head says most of its first text show things like that text."""
    vectors = texts()[1]
    own = normalize(vectors - vectors.mean(0), dim=-1)[photographs()[2]]  # of each photograph's class
    random = torch.Generator().manual_seed(0)
    rows = []
    for name, bank in every.items():
        spans = kit.textspan(moments, bank, 1)
        found = _fit(store, spans, bank, own)
        dealt = [
            float(_fit(store, spans, bank, own[torch.randperm(len(own), generator=random)]).mean())
            for _ in range(DEALS)
        ]
        low, high = torch.tensor(dealt).quantile(torch.tensor([0.025, 0.975])).tolist()
        above = f"{int((found > high).sum())} of {len(found)}"
        rows.append(
            [name, str(bootstrap_interval(found.numpy(), seed=0)), f"[{low:+.3f}, {high:+.3f}]", above]
        )
    return table(["bank", "closer by, with interval over heads", "names dealt anew", "heads above"], rows)


def listed_table(moments, bank: Bank) -> str:
    """First texts of every head."""
    spans = kit.textspan(moments, bank, 5)
    rows = []
    for part, own in spans.table.groupby("part", sort=False):
        rows.append(
            [part, "; ".join(own["text"]), f"{100 * own['share'].sum():.0f}", f"{own['margin'].min():.2f}"]
        )
    return table(["head", "first five texts", "explained, %", "smallest margin"], rows)


def main() -> None:
    """Measure and write the page."""
    model = open_clip_layout()
    with tempfile.TemporaryDirectory() as folder:
        images = photographs()[0]
        store = kit.collect(model, images, "store", "182 photographs", path=Path(folder) / "answered")
        others = kit.collect(model, reference_set("coco128"), "moments", "coco128", selector=HEADS)
        own = store.moments(selector=HEADS)
        moments, every = own.merge(others), banks(model)
        said, accuracies = accuracy_table(store, moments, every)
        page = PAGE_TEXT.format(
            photos=len(images), others=others.count, heads=len(own.parts),
            versions=f"torch {settings()['torch']}",
            explained=explained_table(moments, every), said=said, accuracies=accuracies, near=NEAR,
            deals=DEALS, truth=truth_table(store, moments, every),
            listed=listed_table(moments, every["class texts, centred"]),
        )  # fmt: skip
    part = PAGE.with_suffix(".part")
    part.write_text(page, encoding="utf-8", newline="\n")
    os.replace(part, PAGE)
    print(PAGE)


PAGE_TEXT = """# TextSpan on a real tower

A real ViT-Ti/16 in open_clip's layout, with a projection that was fitted into the text space of a real
CLIP, and that CLIP's directions of ImageNet's 1,000 class names. It is no released CLIP: nothing here is
a figure of the paper. Moments are of the {heads} heads of the last four layers over {photos} photographs,
one for each of as many classes, and {others} photographs of coco128.

Made with `python -m tests.bench.real_textspan`, {versions}.

## What texts explain

Share of a head's variance in per cent, mean over heads. Heads have 64 dimensions.

{explained}

## Accuracy with texts in place of heads

Top-1 among the names of the {photos} photographs, in per cent; differences in points, with 95 % intervals
over photographs. Heads of the last four layers are replaced by their reconstruction, those of the first
eight by their means, MLPs stay. {said}

{accuracies}

## Is what a head says true?

For each head the {near} photographs with the largest score for its first text. If the text is right, what
they show should be closer to it, as the text space measures closeness (cosine of centred directions),
than what all photographs show. As a control the names of the photographs are dealt out anew, {deals}
times; the middle 95 % of the means over heads. Random directions have no meaning to be right about, but a
score is made of the same directions that names are compared by: what this row shows is how much of the
agreement comes from that alone.

{truth}

## The texts

Class texts, centred. A margin near zero says that another text would have done as well.

{listed}

"""


if __name__ == "__main__":
    main()
