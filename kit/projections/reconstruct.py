"""A model whose heads write nothing but what their texts span: how much of its answers is left."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.data.sets import Picks
from kit.errors import KitError
from kit.measures import hits
from kit.parts.means import replaced
from kit.parts.moments import Moments
from kit.parts.selector import select
from kit.parts.stores import Store
from kit.projections.banks import Bank
from kit.projections.textspan import TextSpan, textspan


def reconstructed(
    store: Store,
    spans: TextSpan,
    directions: Tensor,
    truth: Tensor,
    counts: Sequence[int],
    images: Picks | None = None,
    base: Tensor | None = None,
) -> dict[int, Tensor]:
    """Whether each image is answered right with nothing of some parts but what their first texts span.

    See `reconstructed_cosines`. A longer list of texts begins with the shorter one, so each is added once.

    Args:
        store: of the images.
        spans: texts of some of its parts, at least as many as are asked for.
        directions: of the answers, unit rows, [text, embed].
        truth: number of the right answer of each of these images, [image].
        counts: rising numbers of texts; 0 leaves the means of the parts alone.
        images: which images, as `Store` takes them; None is all.
        base: cosines of these images after other parts were replaced, [image, text]; None is as they are.

    Returns:
        Number of texts -> bool [image].

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 3.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(64, seed=1)
        >>> store = kit.collect(model, scenes, "store", "64 scenes", selector="L5.H*")
        >>> spans = kit.textspan(store.moments(), kit.projections.Bank.stickers(model), texts=3)
        >>> concepts = model.encode_text(kit.world.prompts("concept"))
        >>> found = reconstructed(store, spans, concepts, scenes.codes["concept"], [1, 3])
        >>> {count: tuple(right.shape) for count, right in found.items()}
        {1: (64,), 3: (64,)}
    """
    base = store.cosines(directions, images) if base is None else base
    return {m: hits(found, truth) for m, found in _cosines(store, spans, directions, counts, images, base)}


def reconstructed_by(
    store: Store, moments: Moments, banks: dict[str, Bank], directions: Tensor, truth: Tensor,
    counts: Sequence[int],
) -> dict[str, Tensor]:  # fmt: skip
    """`reconstructed` for several banks of texts.

    Args:
        store, directions, truth, counts: as of `reconstructed`.
        moments: of the parts, of other images than the store's.
        banks: name -> texts to pick from.

    Returns:
        Name -> whether each image is answered right with so many texts, bool [image, count].
    """
    found = {}
    for name, bank in banks.items():
        right = reconstructed(store, textspan(moments, bank, max(counts)), directions, truth, counts)
        found[name] = torch.stack(list(right.values()), 1)
    return found


def reconstructed_cosines(
    store: Store, spans: TextSpan, directions: Tensor, images: Picks | None = None, ablated: str = "none"
) -> Tensor:
    """Cosines after each part was replaced by its reconstruction from its texts, [image, text].

    A part x becomes mean + Q Qᵀ (x - mean), Q its texts made orthonormal. A score with t is linear, so no
    part is built: the scores with the rows of Q, about their means, are weighed by what t has along them.
    This is a direct effect: patterns, norm statistics and the length stay.

    Args:
        store: of the images.
        spans: texts of some of its parts; the mean of a part is that of the images of its moments.
        directions: unit rows, [text, embed].
        images: which images, as `Store` takes them; None is all.
        ablated: a selector of parts that are replaced by their mean over the store instead.

    Returns:
        Cosines, [image, text].

    Raises:
        KitError: directions of another width; a part that is to be ablated too.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 3. Differs from the released code in taking means
        from the images of the moments, whichever these are, and in reporting the ablated parts apart.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(64, seed=1), "store", "64 scenes", selector="L5.H*")
        >>> spans = kit.textspan(store.moments(), kit.projections.Bank.stickers(model), texts=3)
        >>> reconstructed_cosines(store, spans, model.encode_text(["a cat", "a dog"])).shape
        torch.Size([64, 2])
    """
    expect_shape(directions, "text embed", "directions", embed=spans.directions.shape[2])
    twice = {*select(store.index, ablated)} & {store.index["name"].tolist().index(p) for p in spans.parts}
    if twice:
        name = store.index["name"].iloc[min(twice)]
        raise KitError(f'"{name}" is to be ablated and reconstructed; take it out of one.')
    base = store.cosines(directions, images)
    if select(store.index, ablated):
        means = store.means(selector=ablated).sum(0).to(base) @ directions.to(base).T  # [text]
        base = replaced(base, store.scores(directions, images, ablated).sum(1), means)
    ((_, found),) = _cosines(store, spans, directions, [spans.directions.shape[1]], images, base)
    return found


def _cosines(
    store: Store,
    spans: TextSpan,
    directions: Tensor,
    counts: Sequence[int],
    images: Picks | None,
    base: Tensor,
) -> Iterator[tuple[int, Tensor]]:
    """Numbers of texts, and the cosines with the parts replaced by what so many texts span, [image, text]."""
    names, asked = ", ".join(spans.parts), directions.double()
    means = (spans.mean.sum(0) @ asked.T).to(base)
    found, done = replaced(base, store.scores(directions, images, names).sum(1), means), 0
    along = store.scores(spans.directions, images, names)  # [image, part, rank]
    along = along - torch.einsum("pe,pre->pr", spans.mean, spans.directions).to(along)
    turned = (spans.directions @ asked.T).to(along)  # [part, rank, text]
    for count in counts:
        some = slice(done, count)
        found = found + torch.einsum("bpr,prt->bt", along[:, :, some], turned[:, some])
        done = count
        yield count, found
