"""What heads read at the class token itself, kept beside a store's parts: pictures do not enter by it.

Where the representation is the class token, a head's output is a sum over the tokens that it reads, and
one of them is the class token. Its share is one vector of `head_dim` numbers for each head, so it is
worked out from one column of the pattern; vectors of all tokens are never built.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from kit.errors import KitError
from kit.models.model import Model
from kit.parts.frozen import frozen_graph
from kit.parts.moments import rows_of

KEY = "cls"  # name of the array in a store


def check_cls(model: Model) -> None:
    """Raise unless the model's representation is one class token, read by its heads."""
    frozen = frozen_graph(model)
    heads = [s for s in frozen.sources if s.kind == "head"]
    pooled = model.prefix_tokens > 0 and all(tuple(s.readout.rows or ()) == (0,) for s in heads)
    if not (frozen.plain and heads and pooled):
        raise KitError(
            f'"{model.name}" does not pool one class token, so no head reads "the class token itself"; '
            "leave tokens out."
        )


def cls_coordinates(run, rows: list[int], gain: Tensor) -> Tensor:
    """Coordinates of what heads read at the class token, [batch, head part, coordinate].

    Args:
        run: made with `tokens=True`.
        rows: rows of the index that are heads.
        gain: of these heads, as `kit.parts.moments.gain_of` gives it.
    """
    pieces = []
    for row in rows:
        layer, head = (int(run.index[column][row]) for column in ("layer", "head"))
        share, value = run.pattern_shares(layer)[:, :, head, 0], run.values_at(layer, 0)[:, head]
        piece = (share[..., None] * value[:, None]).flatten(1)  # [batch, slot * head_dim]
        pieces.append(pad(piece, (0, gain.shape[1] - piece.shape[1])))
    return torch.stack(pieces, 1)


def only_cls(store):
    """The heads of a store, each with what it read at the class token alone; see `Store.read_at_cls`."""
    if KEY not in store.arrays:
        raise KitError(
            f'the store "{store.name}" does not keep what heads read at the class token; collect it with '
            'kit.collect(..., keep="store", tokens="cls").'
        )
    heads = list(store.facts["heads"])
    return replace(
        store,
        index=rows_of(store.index, heads),
        facts=store.facts | {"heads": list(range(len(heads))), "others": []},
        arrays=store.arrays | {"heads": store.arrays[KEY]},
    )
