"""Maps from relevance: a score shared out, layer by layer, among what it was made of.

Relevance goes from the representation back along the recorded graph of the unmodified tower. Each operation
shares out what it got among its inputs by one rule, so no model is written anew. The rules are those of
Chefer et al. 2021; sums that they take over a whole batch are taken over each image here.

The rules divide by sums that may be near zero, so that in float32 rounding decides up to a third of a map's
largest value. All of it is computed in float64, by a copy of the model.
"""

import operator
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx

from kit.errors import KitError
from kit.maps.attention import rolled
from kit.maps.passes import patches, pattern_gradients, plain_graph, rows_read
from kit.models.model import Model
from kit.models.nodes import MOVES, SDPA, aten, module_path, ops
from kit.parts.hook_points import attention_call

# what hands its relevance on as it is
PASSED = ops(
    "layer_norm.default gelu.default relu.default silu.default sigmoid.default tanh.default "
    "dropout.default to.dtype"
)
# what picks or places numbers: relevance goes back to where they came from
PLACED = {operator.getitem, *MOVES} | ops(
    "select.int slice.Tensor cat.default expand.default unbind.int chunk.default split.Tensor "
    "split_with_sizes.default"
)
POOLED = {aten.mean.dim, aten.sum.dim_IntList}


def partial_lrp(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """Relevance of the last layer's attention from the class token to each patch, mean over heads.

    Args:
        model: from `kit.load`; a tower with the same tokens in every layer.
        pixels: [batch, 3, height, width].
        directions: one for each image, [batch, embed].

    Returns:
        [batch, row, col], not below zero.

    Raises:
        KitError: a tower of another kind, or an operation without a rule, which is named.

    Source:
        Voita et al. 2019, arXiv 1905.09418, as a baseline of Chefer et al. 2021, arXiv 2012.09838.
    """
    what = "partial LRP"
    finer, *asked = in_float64(model, pixels, directions, what)
    last = pattern_relevance(finer, *asked, what, last_only=True)[-1]
    found = last.clamp(min=0)[:, :, rows_read(finer, finer.layers - 1)].mean((1, 2))
    return patches(model, found).to(pixels)


def transformer_attribution(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """Relevance of every layer's attention times its gradient, rolled out over the layers.

    The product over layers of identity + mean over heads of (gradient · relevance), negative ones left out;
    its class row.

    Args, returns, raises: as `partial_lrp`.

    Source:
        Chefer, Gur, Wolf 2021, Transformer Interpretability Beyond Attention Visualization, arXiv
        2012.09838, equations 13-14; rules as in its released code. Their class score is the head's output;
        here it is the cosine with the direction.
    """
    what = "transformer attribution"
    finer, *asked = in_float64(model, pixels, directions, what)
    _, gradients = pattern_gradients(finer, *asked, what)
    found = pattern_relevance(finer, *asked, what)
    layers = [((g * r).clamp(min=0).mean(1), 1.0) for g, r in zip(gradients, found)]
    return patches(model, rolled(layers, finer)).to(pixels)


_finer: WeakKeyDictionary[Model, tuple[object, Model]] = WeakKeyDictionary()


def in_float64(model: Model, pixels: Tensor, directions: Tensor, what: str) -> tuple[Model, Tensor, Tensor]:
    """A model and what it is asked in float64.

    The copy, of the image tower alone, is kept for as long as the model stays as it is.
    """
    model.check_pixels(pixels)
    frozen = plain_graph(model, pixels, what)
    if model.dtype == torch.float64:
        return model, pixels, directions
    held = _finer.get(model)
    if held is None or held[0] is not frozen:
        alone = replace(model, library_model=model.tower, text_tower=None)
        held = _finer[model] = frozen, alone.double()
    finer = held[1]
    return finer, *(each.to(finer.device, torch.float64) for each in (pixels, directions))


@torch.no_grad()
def pattern_relevance(
    model: Model, pixels: Tensor, directions: Tensor, what: str, last_only: bool = False
) -> list[Tensor]:
    """Relevance of attention patterns for the score of each image with its direction.

    Args:
        last_only: of the last layer alone, which spares the way through the others.

    Returns:
        For each layer [batch, head, query, key].
    """
    model.check_pixels(pixels)
    frozen = plain_graph(model, pixels, what)
    model.passes["image"] += 1
    tower = fx.Interpreter(frozen.trace.module, garbage_collect_values=False)
    found = tower.run(pixels)  # [batch, embed]
    walk = _Walk(model.name, frozen.trace, tower.env)
    start = linear_relevance(found, directions[:, None], found.new_ones(len(found), 1))
    layers = [a.node for a in frozen.trace.layer_calls]
    return walk.back(frozen.output, start, layers[-1:] if last_only else layers)


class _Walk:
    """Relevance on its way back through the graph.

    Args:
        name: of the model, for messages.
        trace: of the tower.
        values: what each node gave.
    """

    def __init__(self, name: str, trace, values: dict[fx.Node, object]):
        self.name, self.trace, self.values = name, trace, values
        self.relevance: dict[fx.Node, object] = {}
        self.patterns: dict[fx.Node, Tensor] = {}

    def back(self, output: fx.Node, start: Tensor, layers: list[fx.Node]) -> list[Tensor]:
        """Walk until all these attention layers have been passed; the relevance of their patterns."""
        self.relevance[output] = start
        for node in reversed(list(self.trace.module.graph.nodes)):
            if node in self.relevance:
                self._share(node, self.relevance.pop(node))
            if len(self.patterns) == len(layers):
                break
        return [self.patterns[node] for node in layers]

    def _give(self, node: fx.Node, relevance: Tensor) -> None:
        """What is read by several gets the sum of what they share out."""
        if node in self.relevance and not isinstance(relevance, tuple):
            relevance = self.relevance[node] + relevance
        self.relevance[node] = relevance

    def _share(self, node: fx.Node, relevance) -> None:
        target, image = node.target, [a for a in node.all_input_nodes if a in self.trace.image]
        if target is SDPA:
            self._attention(node, relevance)
        elif target in PASSED:
            self._give(image[0], relevance)
        elif target in PLACED:
            self._place(node, image, relevance)
        elif target in POOLED:
            (source,) = image
            share = _over(relevance, self.values[node])
            self._give(source, self.values[source] * self._gradient(node, source, share))
        elif target is aten.linear.default:
            self._give(
                image[0], linear_relevance(self._value(image[0]), self._value(node.args[1]), relevance)
            )
        elif (
            target in (aten.matmul.default, aten.mm.default) and len(image) == 1 and image[0] is node.args[0]
        ):
            self._give(
                image[0], linear_relevance(self._value(image[0]), self._value(node.args[1]).T, relevance)
            )
        elif target is aten.mul.Tensor:
            self._product(image, relevance)
        elif target is aten.add.Tensor:
            self._sum(image, relevance)
        else:
            raise KitError(
                f'relevance has no rule for "{target}" in module "{module_path(node)}" of "{self.name}"; '
                "take a method that asks for none, such as token heatmap or GradCAM of heads."
            )

    def _value(self, node: fx.Node) -> Tensor:
        return self.values[node]

    def _attention(self, node: fx.Node, relevance: Tensor) -> None:
        """Half to the pattern and half to the values; the pattern's on to queries and keys, half each."""
        call = attention_call(*fx.map_arg(node.args, self._value), **fx.map_arg(node.kwargs, self._value))
        query, key, value, pattern = call.query, call.key, call.value, call.pattern()
        share = _over(relevance, self._value(node))  # [batch, head, token, head_dim]
        self.patterns[node] = pattern * (share @ value.transpose(-1, -2)) / 2
        self._give(node.args[2], value * (pattern.transpose(-1, -2) @ share) / 2)
        share = _over(self.patterns[node], query @ key.transpose(-1, -2))  # [batch, head, query, key]
        self._give(node.args[0], query * (share @ key) / 2)
        self._give(node.args[1], key * (share.transpose(-1, -2) @ query) / 2)

    def _sum(self, image: list[fx.Node], relevance: Tensor) -> None:
        """To each operand by what it adds; the two totals of an image by the size of their sums."""
        if len(image) == 1:  # a constant takes nothing
            return self._give(image[0], relevance)
        share = _over(relevance, self._value(image[0]) + self._value(image[1]))
        parts = [self._value(a) * share for a in image]
        totals = [p.flatten(1).sum(1) for p in parts]  # [batch]
        size = totals[0].abs() + totals[1].abs()
        whole = relevance.flatten(1).sum(1)
        for source, part, total in zip(image, parts, totals):
            factor = _over(_over(total.abs(), size) * whole, total)
            self._give(source, part * factor.reshape(-1, *[1] * (part.ndim - 1)))

    def _product(self, image: list[fx.Node], relevance: Tensor) -> None:
        """A gate (a sigmoid of the other factor) and a constant take nothing."""
        kept = [a for a in image if a.target is not aten.sigmoid.default]
        for source in kept:
            self._give(source, relevance / len(kept))

    def _place(self, node: fx.Node, image: list[fx.Node], relevance) -> None:
        if node.target is operator.getitem:  # one of several: gathered until all have come
            several, place = node.args
            held = list(self.relevance.get(several, [None] * len(self.values[several])))
            held[place] = relevance if held[place] is None else held[place] + relevance
            self.relevance[several] = tuple(held)
            return
        if isinstance(relevance, tuple):
            pieces = zip(relevance, self.values[node])
            relevance = tuple(torch.zeros_like(v) if r is None else r for r, v in pieces)
        for source in image:
            self._give(source, self._gradient(node, source, relevance))

    def _gradient(self, node: fx.Node, source: fx.Node, back):
        """`back`, one number for each that the node gave, carried back to the source."""

        def operation(value):
            def known(argument):
                return value if argument is source else self.values[argument]

            args = fx.map_arg(node.args, known)
            return node.target(*args, **fx.map_arg(node.kwargs, known))

        out, carry = torch.func.vjp(operation, self.values[source])
        return carry(type(out)(back) if isinstance(out, tuple | list) else back)[0]


def linear_relevance(values: Tensor, weight: Tensor, relevance: Tensor) -> Tensor:
    """Relevance of the inputs of a linear map: each output's is shared out among what speaks for it.

    Args:
        values: [..., in].
        weight: [out, in], or one for each image, [batch, out, in].
        relevance: [..., out].

    Returns:
        [..., in]; its sum is that of `relevance` where every output has something that speaks for it.

    Source:
        Bach et al. 2015, the rule with alpha 1 and beta 0.

    Example:
        >>> weight = torch.tensor([[1.0, 1.0, 1.0]])
        >>> linear_relevance(torch.tensor([[3.0, 1.0, -2.0]]), weight, torch.tensor([[1.0]])).abs()
        tensor([[0.7500, 0.2500, 0.0000]])
    """
    up, down = values.clamp(min=0), values.clamp(max=0)
    plus, minus = weight.clamp(min=0), weight.clamp(max=0)
    if weight.ndim == 3:
        speaks = torch.einsum("bi,boi->bo", up, plus) + torch.einsum("bi,boi->bo", down, minus)
        share = _over(relevance, speaks)
        return up * torch.einsum("bo,boi->bi", share, plus) + down * torch.einsum("bo,boi->bi", share, minus)
    share = _over(relevance, up @ plus.T + down @ minus.T)  # [..., out]
    return up * (share @ plus) + down * (share @ minus)


def _over(part: Tensor, whole: Tensor) -> Tensor:
    """A quotient; nothing where there is nothing to divide by."""
    return torch.where(whole.abs() > torch.finfo(whole.dtype).tiny, part / whole, 0.0)
