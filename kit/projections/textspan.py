"""TextSpan: for each head the few texts whose directions span most of what it writes."""

from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.axes import expect_shape
from kit.errors import KitError, nearest
from kit.models.model import Model
from kit.parts.moments import CONVENTIONS, Moments
from kit.projections.banks import Bank

SCORES = ("released", "variance")
NO_DIRECTION = 1e-10  # second moment over the largest that is rounding of float32
COLLINEAR = 1e-10  # of a text's squared length in the span: what is left of it is rounding
NO_VARIANCE = 1e-12  # of a part's second moment: a variance that is rounding
AT_ONCE = 1 << 21  # numbers of projected texts that are held at once, few enough for a cache

SHARE = "share of variance"


@dataclass(frozen=True)
class TextSpan:
    """The texts of each part, in the order in which they were picked.

    Attributes:
        table: one row for each part and rank (from 1): `part`, `rank`, `text`; `property`, where the bank
            has them; `score`, the variance that decided the pick; `share` of the part's variance that the
            text adds to what the texts before it explain, 0-1, and its sum so far, `cumulative`; `margin`,
            the relative distance of the score to that of the runner-up; `aliases`, texts of the same
            direction.
        directions: orthonormal, [part, rank, embed]; zero after the last text of a part.
        mean: of each part over the images, [part, embed].
        parts: names of the parts.
    """

    table: pd.DataFrame
    directions: Tensor
    mean: Tensor
    parts: list[str]

    def first(self, texts: int) -> "TextSpan":
        """What asking for fewer texts gives."""
        table = self.table[self.table["rank"] <= texts].reset_index(drop=True)
        return replace(self, table=table, directions=self.directions[:, :texts])

    def listed(self, part: str) -> pd.DataFrame:
        """One part's rows to be read: `rank`, `text` with its copies, `tells`, `share of variance`."""
        mine = self.table[self.table["part"] == part]
        copies = [f" (also: {', '.join(also)})" if also else "" for also in mine["aliases"]]
        mine = mine.assign(text=mine["text"] + copies).filter(["rank", "text", "property", "share"])
        return mine.rename(columns={"property": "tells", "share": SHARE})

    def says(self, part: str, bank: str, images: int) -> str:
        """What the texts of a part explain, in a sentence or two."""
        mine = self.table[self.table["part"] == part]
        if mine.empty:
            return f"{part} varies along none of these texts over {images:,} images."
        one, share = len(mine) == 1, mine["share"].sum()
        texts = f"1 text of “{bank}” explains" if one else f"{len(mine)} texts of “{bank}” explain"
        first = f"{'The' if one else 'Its first'} text is ‘{mine['text'].iloc[0]}’."
        return f"{texts} {share:.0%} of what {part} varies over {images:,} images. {first}"

    def summary(self) -> pd.DataFrame:
        """For each part the `share` of its variance that its texts explain, its first `text` and `property`.

        A part that varies along no text has the share 0 and no text; without tags there is no property.
        """
        shares = self.table.groupby("part")["share"].sum().reindex(self.parts).fillna(0.0)
        first = self.table[self.table["rank"] == 1].set_index("part").reindex(self.parts)
        tagged = first["property"] if "property" in first else pd.Series("", index=shares.index)
        return pd.DataFrame(
            {"share": shares, "text": first["text"].fillna(""), "property": tagged.fillna("")}
        )

    def reconstruct(self, values: Tensor) -> Tensor:
        """The parts with nothing but what their texts span: mean + (value - mean) Q Qᵀ.

        Args:
            values: parts over the length of the representation, [batch, part, embed].

        Returns:
            The same, float64 [batch, part, embed].

        Raises:
            KitError: other shapes.
        """
        parts, embed = self.mean.shape
        expect_shape(values, "batch part embed", "values", part=parts, embed=embed)
        centred = (values.double() - self.mean).transpose(0, 1)  # [part, batch, embed]
        return self.mean + (centred @ self.directions.mT @ self.directions).transpose(0, 1)


def textspan(
    moments: Moments,
    bank: Bank,
    texts: int = 20,
    score: str = "released",
    rank: int | None = None,
    part: str | None = None,
    convention: str = "exact",
) -> TextSpan:
    """The texts whose directions explain most of each part's variance over the images, picked greedily.

    Each step looks at what is left of every text, in the span of the part and apart from the texts before
    it, and takes the one along which the part varies most. Images are not needed for that: the variance
    along t is t' Σ t, and what is left of any text is orthogonal to all picks, so deflating the part
    itself would change nothing. A part lives in the span of its few coordinates, into which the bank is
    projected once.

    `score="variance"` makes what is left of a text unit first: the greedy step of the objective, explained
    variance. `score="released"` is that of the paper's code, which leaves it as long as it is, so that
    texts that mostly lie in the span come first. The former explains more by as many texts, but takes
    texts of which the part sees hardly anything; the latter names the attribute that a head is known to
    carry more often in the stickers world (tests/truth/test_textspan.py), and is the default.

    **Which lists are the published ones.** The paper's code books constants in a way of its own, keeps parts
    in float32, and projects texts on 80 directions by default, though a head with its constants spans
    head_dim + 3 at most: the others are rounding. They carry no variance, but a text's length in them decides
    how much of the head is taken out with it. `score="released", rank=80, convention="paper"` does all this,
    so that published head labels can be compared: the lists are those of the released algorithm on the same
    float32 parts. But rounding is what they hang on: another batch size, machine or routine for singular
    vectors gives other lists. The default, exact parts in their own span, gives the released algorithm's
    lists at rank = head_dim, and the same ones everywhere.

    Args:
        moments: of the parts, from `kit.collect(..., keep="moments")`, in the same convention.
        bank: texts with directions of the same model.
        texts: at most so many for each part; a part whose span is used up gets fewer.
        score: `"released"` or `"variance"`.
        rank: directions that texts are projected on, those of the largest second moments (about zero, as
            the paper's code has it); None is all but rounding. In the paper's convention directions of
            rounding count, where so many are asked for.
        part: a selector of the parts wanted; None is all.
        convention: `"exact"`, or `"paper"`, which has `score="released"` alone.

    Returns:
        `TextSpan`. Shares are of all of a part's variance, whatever the rank.

    Raises:
        KitError: texts of another model or width, fewer than one text or rank, an unknown score or part,
            moments of a single image, or of another convention.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, section 4 (TextSpan). Differs from the paper's code
        in working from moments, in stopping at the rank, and in counting exact copies of a text once.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> moments = kit.collect(model, kit.world.draw(64, seed=1), "moments", "64 scenes", selector="L5.H*")
        >>> found = textspan(moments, kit.projections.Bank.stickers(model), texts=2)
        >>> list(found.table["rank"][:4]), found.directions.shape
        ([1, 2, 1, 2], torch.Size([6, 2, 128]))
    """
    _check(moments, bank, texts, score, rank)
    _check_convention(moments, score, convention)
    moments = moments if part is None else moments.select(part)
    axes, variances = _principal_axes(moments, rank)
    total, least = _sizes(moments)
    originals = torch.tensor(list(bank.copies))
    vectors = bank.vectors[originals].double().T  # [embed, text]
    texts = min(texts, axes.shape[2], len(originals))
    some = max(1, AT_ONCE // (len(originals) * axes.shape[2]))  # parts
    found = [
        _Pursuit(own.mT @ vectors, *sizes, score).picks(texts)
        for own, *sizes in zip(*(each.split(some) for each in (axes, variances, total, least)))
    ]
    picked, figures, inner = (torch.cat(each) for each in zip(*found))
    picked = torch.where(picked < 0, -1, originals[picked])
    directions = inner @ axes.mT  # [part, rank, embed]
    return TextSpan(_table(moments, bank, picked, figures), directions, moments.embed_mean(), moments.parts)


def own_texts(model: Model, spans: TextSpan, bank: Bank | None) -> dict:
    """The first text of each head: head -> text, its direction, and that minus the mean of its bank.

    Args:
        model: of the heads.
        spans: the texts of each head.
        bank: that they were picked from.

    Raises:
        KitError: no bank, one of other weights, or one without these texts.
    """
    if bank is None:
        raise KitError("texts of heads need the bank that they were picked from; give bank=bank too.")
    bank.expect_weights(model.label, model.weights_hash)
    firsts = spans.table[spans.table["rank"] == 1].set_index("part")["text"]
    if missing := sorted(set(firsts) - set(bank.texts)):
        hint = nearest(missing[0], bank.texts)
        raise KitError(f'"{missing[0]}" is no text of the bank "{bank.name}".{hint}')
    centred = normalize(bank.vectors - bank.vectors.mean(0), dim=1)  # [text, embed]
    place = {text: k for k, text in reversed(list(enumerate(bank.texts)))}
    return {part: (text, bank.vectors[place[text]], centred[place[text]]) for part, text in firsts.items()}


def _principal_axes(moments: Moments, rank: int | None) -> tuple[Tensor, Tensor]:
    """Axes of each part's span, [part, embed, axis], and the variances along them, [part, axis].

    The span is that of the leading eigenvectors of the second moment about zero; inside it the axes are
    those of the covariance. Where a span has fewer dimensions than coordinates, the columns that are left
    over have no variance and the whole is a projection: V Vᵀ is what it would be without them.
    """
    unbiased = moments.count / (moments.count - 1)
    basis, covariance, mean = None, moments.covariance, moments.mean[..., None]
    if moments.root is not None:
        return _released_axes(moments, rank)
    if moments.gain is not None:
        basis, triangle = torch.linalg.qr(moments.gain.double().mT)  # [part, embed, coordinate]
        covariance, mean = triangle @ covariance @ triangle.mT, triangle @ mean
    sizes, vectors = torch.linalg.eigh(covariance + mean @ mean.mT)  # in rising order
    leading = sizes > NO_DIRECTION * sizes[:, -1:]
    if rank is not None:
        leading[:, :-rank] = False
    span = vectors * leading[:, None]
    variances, turn = torch.linalg.eigh(span.mT @ covariance @ span * unbiased)
    axes = span @ turn
    return axes if basis is None else basis @ axes, variances


def _released_axes(moments: Moments, rank: int | None) -> tuple[Tensor, Tensor]:
    """As `_principal_axes`, of the right singular vectors of the parts, those of rounding included.

    Squares would lose these: a singular value of rounding is 1e-8 of the largest, its square less than what
    float64 tells apart.
    """
    _, sizes, vectors = torch.linalg.svd(moments.root, full_matrices=False)  # [part, row(, embed)]
    most = vectors.shape[1] if rank is None else rank
    kept = sizes[:, :most] > (NO_DIRECTION**0.5 if rank is None else 0.0) * sizes[:, :1]
    span = (vectors[:, :most] * kept[..., None]).mT
    unbiased = moments.count / (moments.count - 1)
    variances, turn = torch.linalg.eigh(span.mT @ moments.covariance @ span * unbiased)
    return span @ turn, variances


def _sizes(moments: Moments) -> tuple[Tensor, Tensor]:
    """Variance of each part, and what a direction explains that explains nothing but rounding, [part]."""
    unbiased = moments.count / (moments.count - 1)
    covariance, mean = moments.covariance, moments.mean[..., None]
    second = covariance + mean @ mean.mT
    if moments.gain is not None:
        gain = moments.gain.double()
        covariance, second = covariance @ gain @ gain.mT, second @ gain @ gain.mT
    total, second = (each.diagonal(dim1=1, dim2=2).sum(1) for each in (covariance, second))
    return unbiased * total, NO_VARIANCE * second


class _Pursuit:
    """The greedy search for some parts at once.

    Args:
        projected: the texts in the axes of each part, R, [part, axis, text].
        variances: along the axes, [part, axis].
        total: variance of each part, [part].
        least: variance of a direction that is rounding, [part].
        score: see `textspan`.
    """

    def __init__(self, projected: Tensor, variances: Tensor, total: Tensor, least: Tensor, score: str):
        self.projected, self.variances, self.total, self.least = projected, variances, total, least
        self.released = score == "released"
        squares = projected.square()
        self.first = squares.sum(1)  # squared lengths at the start, [part, text]
        self.lengths = self.first.clone()  # g: what is left of them
        self.spread = (variances[:, None] @ squares)[:, 0]  # s: variance of the part along what is left
        self.free = self.first > COLLINEAR

    def picks(self, texts: int) -> tuple[Tensor, Tensor, Tensor]:
        """The numbers of the texts [part, rank], -1 where a part is used up; their score, share and margin
        [part, rank, 3]; orthonormal directions in the axes [part, rank, axis]."""
        parts, width, _ = self.projected.shape
        picked = torch.full((parts, texts), -1)
        figures, directions = (self.total.new_zeros(parts, texts, size) for size in (3, width))
        going = torch.ones(parts, dtype=torch.bool)
        for rank in range(texts):
            best, number, margin = self._best()
            row = self.projected[torch.arange(parts), :, number]  # [part, axis]
            unit = _without(_without(row, directions), directions)  # twice is orthogonal to rounding
            unit = unit / unit.norm(dim=1, keepdim=True)
            gained = (unit.square() * self.variances).sum(1)  # kappa
            going &= best.isfinite() & (gained > self.least)
            if not going.any():
                break
            unit = unit.masked_fill(~going[:, None], 0.0)
            self._deflate(unit, gained, directions)
            picked[going, rank] = number[going]
            figures[:, rank] = torch.stack([best, gained / self.total, margin], 1)
            directions[:, rank] = unit
        return picked, figures, directions

    def _best(self) -> tuple[Tensor, Tensor, Tensor]:
        """Score, number and margin of the best text that is left, [part] each; the first one on ties."""
        score = self.spread if self.released else self.spread / self.lengths
        score = score.masked_fill(~self.free, -torch.inf)
        best, number = score.max(1)
        second = score.scatter_(1, number[:, None], -torch.inf).amax(1).clamp(min=0)
        return best, number, (best - second) / best

    def _deflate(self, unit: Tensor, gained: Tensor, directions: Tensor) -> None:
        """Take a direction out of the texts' lengths and variances.

        With R what is left of the texts, a = R q and b = R S q, the updates are s - 2ab + a²κ and g - a².
        R is the first R less its part along the picks, so both products are of the first R, and R
        itself is never written.
        """
        along = _without(unit * self.variances, directions)
        a, b = (torch.stack([unit, along], 1) @ self.projected).unbind(1)  # [part, text]
        self.spread += a * (a * gained[:, None] - 2 * b)
        self.lengths -= a.square()
        self.free &= self.lengths > COLLINEAR * self.first


def _without(vectors: Tensor, directions: Tensor) -> Tensor:
    """Vectors [part, axis] less their part along the directions [part, rank, axis]."""
    return vectors - (directions.mT @ (directions @ vectors[..., None]))[..., 0]


def _table(moments: Moments, bank: Bank, picked: Tensor, figures: Tensor) -> pd.DataFrame:
    """The rows of `TextSpan.table`."""
    part, rank = (picked >= 0).nonzero(as_tuple=True)
    numbers = picked[part, rank].tolist()
    score, share, margin = figures[part, rank].T.numpy()
    columns = {
        "part": [moments.parts[p] for p in part.tolist()],
        "rank": (rank + 1).numpy(),
        "text": [bank.texts[n] for n in numbers],
    }
    if bank.properties is not None:
        columns["property"] = [bank.properties[n] for n in numbers]
    table = pd.DataFrame(columns | {"score": score, "share": share})
    table["cumulative"] = table.groupby("part", sort=False)["share"].cumsum()
    return table.assign(margin=margin, aliases=[[bank.texts[c] for c in bank.copies[n]] for n in numbers])


def _check_convention(moments: Moments, score: str, convention: str) -> None:
    if convention not in CONVENTIONS:
        raise KitError(f'no convention "{convention}"; there are {" and ".join(CONVENTIONS)}.')
    if moments.convention != CONVENTIONS[convention]:
        raise KitError(
            f'convention="{convention}" is asked of moments of "{moments.convention}"; collect them with '
            f'kit.collect(model, images, "moments", convention="{convention}").'
        )
    if convention == "paper" and score != "released":
        raise KitError(
            f'convention="paper" has score="released" alone, as the paper\'s code, not "{score}"; leave '
            "convention out."
        )


def _check(moments: Moments, bank: Bank, texts: int, score: str, rank: int | None) -> None:
    if score not in SCORES:
        raise KitError(f'no score="{score}"; there are {" and ".join(SCORES)}.{nearest(score, SCORES)}')
    for name, value in (("texts", texts), ("rank", rank)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise KitError(f"{name}={value!r} picks nothing; give a whole number from 1.")
    if moments.count < 2:
        raise KitError(f"moments of {moments.count} image have no variance; collect two or more.")
    bank.expect_weights(moments.model, moments.weights_hash)
    width = moments.embed_mean().shape[1]
    if bank.vectors.shape[1] != width:
        raise KitError(
            f"text directions are {bank.vectors.shape[1]} wide but parts are {width} wide; encode the texts "
            "with the same model."
        )
