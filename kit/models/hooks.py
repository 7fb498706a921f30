"""Forward hooks that a user has set on a tower: which of them edit it, and what it gives with them.

Hooks run in the library's own forward, and nowhere else: the recorded graph calls none. Those that only
look are left out of the record, so that no hook is ever handed a value that holds no numbers; those that
edit are recorded as what they do. Which is which is seen while the library's forward runs on a call's own
pixels, and that forward is what the graph is compared with, so that a hook that does something else from
one call to the next is noticed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from kit.models.model import Model

Hook = Callable[..., object]
# one hook: the table in which it stands, by identity, and its number there
Key = tuple[int, int]


@dataclass(frozen=True)
class Hooks:
    """Hooks that stand in one table of torch.

    Attributes:
        table: number -> hook.
        early: they are called before the module's forward, and may replace its inputs.
    """

    table: dict
    early: bool


def library_forward(model: "Model", hooks: list[Hooks], pixels: Tensor) -> tuple[Tensor, frozenset[Key]]:
    """The library's own representation with all hooks, and the hooks that changed something on the way.

    Args:
        model: from `kit.load`.
        hooks: see `kit.models.stamp.Stamp.hooks`.
        pixels: [batch, 3, height, width].

    Returns:
        The representation [batch, embed], and the keys of the hooks that edit.
    """
    editing: set[Key] = set()

    def watched(key: Key, hook: Hook, early: bool) -> Hook:
        def watch(*args):
            before = _versions(args)
            out = hook(*args)
            if _versions(args) != before or not _is_as_given(out, args, early):
                editing.add(key)
            return out

        return watch

    model.passes["image"] += 1
    with _instead(hooks, watched), torch.no_grad():
        truth = model.tower(pixels)
    return truth, frozenset(editing)


def only(hooks: list[Hooks], kept: frozenset[Key]):
    """A context in which no other hooks than those of `kept` are set."""
    return _instead(hooks, lambda key, hook, early: hook if key in kept else None)


@contextmanager
def _instead(hooks: list[Hooks], change: Callable[[Key, Hook, bool], Hook | None]) -> Iterator[None]:
    """Each hook replaced by what `change` makes of it (None: left out), and put back at the end.

    Hooks that remove themselves, or set others, while the context lasts do so for good.
    """
    before = [dict(some.table) for some in hooks]
    for some, own in zip(hooks, before):
        some.table.clear()
        new = {n: change((id(some.table), n), hook, some.early) for n, hook in own.items()}
        some.table.update({n: hook for n, hook in new.items() if hook is not None})
    shown = [dict(some.table) for some in hooks]
    try:
        yield
    finally:
        for some, own, there in zip(hooks, before, shown):
            after = dict(some.table)
            some.table.clear()
            some.table.update({n: hook for n, hook in own.items() if n not in there or n in after})
            some.table.update({n: hook for n, hook in after.items() if n not in there})


def _versions(args: tuple) -> list[int | None]:
    """Versions of the tensors that a hook is handed; the module that stands first holds none."""
    tensors = [leaf for leaf in tree_leaves(args[1:]) if isinstance(leaf, Tensor)]
    return [version_of(t) for t in tensors]


def _is_as_given(out: object, args: tuple, early: bool) -> bool:
    """Whether a hook returned nothing, or the very things that it may replace."""
    if out is None:
        return True
    if early:  # handed (module, inputs) or (module, inputs, keywords)
        given, out = args[1] if len(args) == 2 else args[1:], out if isinstance(out, tuple) else (out,)
    else:
        given = args[-1]
    leaves, before = tree_leaves(out), tree_leaves(given)
    return len(leaves) == len(before) and all(a is b for a, b in zip(leaves, before))


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor was written in place; None where torch does not count, under inference mode."""
    try:
        return tensor._version
    except RuntimeError:
        return None
