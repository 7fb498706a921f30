"""A real tower's parts in a real CLIP's text space, written to docs/real_alignment.md.

`python -m tests.bench.real_alignment`; `KIT_REAL_WEIGHTS` names the folder of weights and photographs. Passes
are kept in a folder, so that the page can be made again.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.measures import bootstrap_interval, rank_agreement
from kit.projections import centred_cosine, disagreement, fit, rank_parts, seen_by_both, shared_rank
from kit.projections.aligner_files import inputs_of
from kit.projections.aligners import Aligner
from tests.bench.alignment import apart
from tests.bench.harness import settings
from tests.bench.real_data import (
    open_clip_layout,
    photographs,
    reference_set,
    texts,
    timm_layout,
)
from tests.bench.real_maps import table

PAGE = Path(__file__).parents[2] / "docs" / "real_alignment.md"
KINDS = ("shared", "ridge", "cosine", "marginal")
SEED, AXES = 0, 8  # of the split, the intervals; of the bank of 1,000 names
SIZES = (30, 60, 120, 235)


@dataclass(frozen=True)
class Seen:
    """What two towers make of all photographs.

    Attributes:
        store: of the tower that is mapped.
        inputs: kind of map -> what it is fitted on, [photo, part, dim].
        target: the CLIP's representation, unit rows, [photo, embed].
    """

    store: object
    inputs: dict[str, Tensor]
    target: Tensor

    @classmethod
    def by(cls, model, clip, keep: Path) -> "Seen":
        """Both passes, kept in a folder."""
        images = [*photographs()[0], *reference_set("coco128"), *reference_set("ants_bees")]
        store, target = seen_by_both(model, clip, images, keep)
        return cls(store, {kind: inputs_of(store, kind) for kind in KINDS}, target)

    def fit(self, kind: str, rows: Tensor, **options) -> Aligner:
        """A map that has seen these photographs alone."""
        return fit(kind, self.inputs[kind][rows], self.target[rows], **options)

    def cosine(self, aligner: Aligner, rows: Tensor):
        """Centred cosine of the sum, over photographs."""
        total = aligner.total(self.inputs[aligner.kind][rows])
        return bootstrap_interval(centred_cosine(total, self.target[rows]).numpy(), SEED)

    def mapped(self, aligner: Aligner) -> Tensor:
        """Every part of every photograph in the CLIP's space."""
        return aligner.parts(self.inputs["cosine"])


def halves(count: int) -> tuple[Tensor, Tensor]:
    """Two halves of the photographs, by a seed."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED))
    return order[: count // 2], order[count // 2 :]


def sum_table(real: Seen, control: Seen, some: Tensor, rest: Tensor) -> str:
    """The sum on photographs of the fit and on others, for more and more photographs."""
    rows = []
    for who, seen in (("the tower", real), ("random weights", control)):
        for kind in KINDS:
            maps = {n: seen.fit(kind, some[:n]) for n in SIZES}
            inside = seen.cosine(maps[SIZES[-1]], some).value
            rows.append([who, kind, f"{inside:.3f}", *(str(seen.cosine(a, rest)) for a in maps.values())])
    return table(["", "map", f"fit, {SIZES[-1]}", *(f"held out, fit on {n}" for n in SIZES)], rows)


def names_table(model, real: Seen, control: Seen, some: Tensor, rest: Tensor) -> str:
    """How often the mapped sum names a photograph as the tower's own head does, and as the CLIP does."""
    _, head, imagenet = photographs()
    vectors = texts()[1]
    others = torch.tensor(sorted(set(range(len(vectors))) - set(imagenet.tolist())))
    own = model.library_model.head
    z = torch.from_numpy(real.store.arrays["embedding"][real.store.rows])[rest]
    by_head = (z @ own.weight.T + own.bias)[:, head].argmax(1)
    by_clip = (real.target[rest] @ vectors[others].T).argmax(1)

    def cells(total: Tensor) -> list[str]:
        found, unit = [], normalize(total, dim=-1)
        for names, wanted in ((imagenet, by_head), (others, by_clip)):
            order = (unit @ vectors[names].T).topk(5, dim=1).indices
            for count in (1, 5):
                hit = (order[:, :count] == wanted[:, None]).any(1).double()
                found.append(bootstrap_interval(100 * hit.numpy(), SEED).told(1))
        return found

    rows = [["the CLIP's own tower", *cells(real.target[rest])]]
    for who, seen in (("", real), (", random weights", control)):
        for kind in KINDS:
            aligner = seen.fit(kind, some)
            rows.append([f"{kind}{who}", *cells(aligner.total(seen.inputs[kind][rest]))])
    chance = [100 * count / len(names) for names in (imagenet, others) for count in (1, 5)]
    rows.append(["chance", *(f"{c:.1f}" for c in chance)])
    lead = f"{len(imagenet)} names of the head"
    rest_of = f"{len(others)} other names"
    return table(["map", f"{lead}, top 1", "top 5", f"{rest_of}, top 1", "top 5"], rows)


def own_parts(clip, seen: Seen) -> Tensor:
    """What each part adds in the CLIP's tower: the same part, projected; [photo, part, embed]."""
    projection = clip.tower.proj.detach()
    whole = torch.from_numpy(seen.store.arrays["embedding"][seen.store.rows])
    length = (whole @ projection).norm(dim=-1) / seen.store.norm
    return seen.inputs["cosine"] @ projection / length[:, None, None]


def importance(parts: Tensor) -> Tensor:
    """R of each part for what 1,000 names differ by, [part]."""
    return torch.tensor(rank_parts(parts, texts()[1], axes=AXES)["R"].to_numpy())


def parts_table(clip, real: Seen, some: Tensor, rest: Tensor) -> str:
    """Whether maps from two halves of the photographs say the same of parts, and what is true of them."""
    own, rows = own_parts(clip, real), []
    known = importance(own[rest]), importance(own[some])
    rows.append(["none: parts of the CLIP's tower", str(rank_agreement(*known, SEED)), "", "", ""])
    for kind in KINDS:
        both = [real.fit(kind, half) for half in (some, rest)]
        mapped = [real.mapped(each) for each in both]
        scores = importance(mapped[0][rest]), importance(mapped[1][some])
        apart_by = disagreement(mapped[0], mapped[1]).mean()
        off = torch.stack([disagreement(m[h], own[h]).mean() for m, h in zip(mapped, (rest, some))]).mean()
        rows.append([
            kind, str(rank_agreement(*scores, SEED)), str(rank_agreement(scores[0], known[0], SEED)),
            f"{apart_by:.2f}", f"{off:.2f}",
        ])  # fmt: skip
    return table(
        ["map", "R, one half and the other", "R, and R of the CLIP's own parts", "two halves disagree",
         "disagrees with the CLIP's own parts"], rows,
    )  # fmt: skip


def apart_table(real: Seen, some: Tensor, rest: Tensor) -> str:
    """Fits that are equally good on photographs held out, and how far they disagree on parts."""
    parts = real.inputs["cosine"]
    found = apart(parts[some], real.target[some], parts[rest], real.target[rest])
    rows = [[name, *(f"{each:.3f}" for each in cosines), f"{off:.2f}"] for name, *cosines, off in found]
    return table(["two fits", "centred cosine, one", "the other", "disagreement"], rows)


def alone(parts: Tensor) -> Tensor:
    """The same parts, each with its photographs in an order of its own, so that they share nothing."""
    chance = torch.Generator().manual_seed(SEED)
    return torch.stack([p[torch.randperm(len(p), generator=chance)] for p in parts.unbind(1)], 1)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, default=Path("runs/real_alignment"))
    keep = parser.parse_args().keep
    model, clip = timm_layout(), open_clip_layout()
    real, control = (Seen.by(each, clip, keep) for each in (model, timm_layout("random")))
    some, rest = halves(len(real.target))
    parts = real.inputs["cosine"]
    page = PAGE_TEXT.format(
        directions=sum(int(torch.linalg.matrix_rank(p - p.mean(0))) for p in parts.unbind(1)),
        photos=len(parts), some=len(some), rest=len(rest), parts=parts.shape[1], axes=AXES,
        versions=f"torch {settings()['torch']}", shared=f"{shared_rank(parts):.2f}",
        alone=f"{shared_rank(alone(parts)):.2f}", sums=sum_table(real, control, some, rest),
        names=names_table(model, real, control, some, rest), rows=parts_table(clip, real, some, rest),
        apart=apart_table(real, some, rest),
    )  # fmt: skip
    written = PAGE.with_suffix(".part")
    written.write_text(page, encoding="utf-8", newline="\n")
    os.replace(written, PAGE)
    print(PAGE)


PAGE_TEXT = """# A real tower's parts in a real CLIP's text space

The ViT-Ti/16 in timm's layout, a classifier without texts, is mapped into the space of a CLIP with
`kit.projections.fit`, on photographs without labels. The CLIP here is the tower in open_clip's layout with a
projection into the text space of a released CLIP, and its texts are that CLIP's directions of ImageNet's
1,000 class names, read from a file. Both towers have the same blocks. That makes this the easiest case
there is, and one whose truth is known: what a part adds is the part itself, projected. Two towers that learnt
apart will do worse. Nothing here is a figure of the paper.

{photos} photographs, {some} of them to fit on and {rest} held out, by a seed. {parts} parts, which vary along
{directions:,} directions together. Intervals are 95 % over photographs, or over parts where ranks are
compared. Made with `python -m tests.bench.real_alignment`, {versions}.

## The sum, on photographs that no map has seen

Centred cosine of the mapped sum and the CLIP's representation, for more and more photographs to fit on. A
tower with random weights is the control: whatever its maps reach on the photographs of the fit was learnt by
heart.

{sums}

One map for all parts is found when there are more photographs than dimensions of the tower (192), and is
still far from right with fewer. A map for each part has many more directions to fill than there are
photographs. Fitted together, in closed form (ridge) or trained (cosine), such maps reproduce the photographs
of the fit and do much worse on others; ridge, which chooses its penalty by cross-validation, is the better
of the two, and learns little from the control, where cosine learns most of it by heart. Each fitted alone
(marginal), their sum is further off still. **A few hundred photographs are enough for one shared map, and too
few for a map for each part.**

## Names that no fit has seen

No map has seen a name. Of the photographs held out: how often, in per cent, the name nearest to the mapped
sum is the best class of the tower's own head, among the names that the head knows; and the name that the
CLIP's own tower puts first, among all others, none of which the head or the projection was made with. Top 5:
that name is among the five nearest.

{names}

## What maps say of parts

R (`kit.rank_parts`) of each part for what the 1,000 names differ by, along their {axes} largest axes. First,
Spearman's correlation over parts between maps of one half of the photographs and maps of the other, each
looked at on the half that it has not seen; then between R by the map and R of the CLIP's own parts. The last
two columns hold mapped parts against each other: 0 says the same, 1 has nothing in common
(`kit.projections.disagreement`).

{rows}

The shared map gives the parts of the CLIP's own tower back, and their order. The maps for each part order
the parts much the same whichever half they were fitted on, but that is no sign of being right: none gives
back what a part adds. Marginal maps answer another question, what a part has in common with what the CLIP
sees: they change least from half to half, and their order is not that of what parts add. The vectors that the
others give are mostly not the same from half to half.

## Equally good fits

Two fits to the same photographs, their sums on photographs held out, and how far they disagree on parts.

{apart}

Shared rank (`kit.projections.shared_rank`, 1 where parts share nothing) is {shared}. Of so few photographs it
would be {alone} even for parts that share nothing, since no more directions than photographs can be seen: the
same parts, each with its photographs in an order of its own. Parts share what they vary by, and fits of one
quality can give it to either.
"""


if __name__ == "__main__":
    main()
