"""A model whose heads write nothing but what their texts span: how much of its answers is left."""

from torch import Tensor

from kit.axes import expect_shape
from kit.data.sets import Picks
from kit.errors import KitError
from kit.parts.means import replaced
from kit.parts.selector import select
from kit.parts.stores import Store
from kit.projections.textspan import TextSpan


def reconstructed_cosines(
    store: Store, spans: TextSpan, directions: Tensor, images: Picks | None = None, ablated: str = "none"
) -> Tensor:
    """Cosines after each part was replaced by its reconstruction from its texts, [image, text].

    A part x becomes mean + Q Qᵀ (x - mean), Q its texts made orthonormal. In a score with t that is
    the score with Q Qᵀ t and a constant, so no part is built: what is lost is the score with
    t - Q Qᵀ t, about its mean. This is a direct effect: patterns, norm statistics and the length stay.

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
    asked = directions.double()
    lost = asked - asked @ spans.directions.mT @ spans.directions  # [part, text, embed]
    offset = (spans.mean[:, None] * lost).sum((0, 2))  # [text]
    whole = store.cosines(directions, images)
    if select(store.index, ablated):
        means = store.means(selector=ablated).sum(0).to(whole) @ directions.to(whole).T  # [text]
        whole = replaced(whole, store.scores(directions, images, ablated).sum(1), means)
    parts = store.scores(lost.to(whole), images, ", ".join(spans.parts)).sum(1)
    return replaced(whole, parts, offset.to(whole))
