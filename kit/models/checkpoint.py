"""The weights of a model in the file of a trainer: the one place under which all of its names lie.

A file is a tree of dicts, and its names are trees again, parted by dots. Both are one to this page: every
tensor has one full name, such as "teacher.backbone.blocks.0.norm1.weight", and weights are looked for as a
prefix under which every name of the model is found.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kit.errors import KitError
from kit.models.stand_ins import StandIn
from kit.models.values import is_plain, some

# what wrappers of torch put in the middle of names: torch.compile, FSDP and checkpointing
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module")
# buffers that older versions saved and that are no weights
IGNORED = ("attn_mask", "position_ids", "input_resolution", "context_length", "vocab_size")
COUNTER = "num_batches_tracked"  # of batch norms; read in training alone
PLACES = 4  # in which one dict of a file is looked at
ADAPTERS = ("base_layer", "modules_to_save", "original_module")


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds, by full name.

    Attributes:
        file: how messages call it.
        tensors: full name -> tensor, wrappers taken out of the names.
        others: full names of what lies among tensors and is none.
        wrappers: components that were taken out of the names.
        homes: full name -> that of the dict in which the tensor lies, with a dot behind it.
    """

    file: str
    tensors: dict[str, Tensor]
    others: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()
    homes: dict[str, str] = field(default_factory=dict)

    def under(self, prefix: str, names: dict | None = None) -> dict[str, Tensor]:
        """The tensors whose names begin with a prefix, without it.

        Where one dict holds as many of some names as all of them together, the others (an optimizer's, an
        average's) are no part of it.
        """
        found = {name: v for name, v in self.tensors.items() if name.startswith(prefix)}
        flat = {name: v for name, v in found.items() if prefix.startswith(self.homes.get(name, ""))}
        if names is not None and flat and _count(flat, prefix, names) == _count(found, prefix, names):
            found = flat
        return {name[len(prefix) :]: value for name, value in found.items()}

    def beside(self, prefix: str, used: dict[str, Tensor]) -> list[str]:
        """The largest groups of tensors that were not used, by full name."""
        path, found = prefix.split("."), {}
        for name in self.tensors:
            if not name.startswith(prefix) or name[len(prefix) :] not in used:
                parts = name.split(".")
                same = sum(1 for _ in _alike(parts, path))
                found[".".join(parts[: same + 1])] = True
        return list(found)


def open_checkpoint(raw, file: str) -> Checkpoint:
    """The tensors of what `read_file` gave, by full name.

    Raises:
        KitError: there are none; two of one name; adapters that are not merged into the weights.
    """
    tensors, others, wrappers, homes = {}, [], {}, {}
    for name, value, home in _leaves(raw) if isinstance(raw, dict) else ():
        if not isinstance(value, Tensor):
            others.append(name)
            continue
        *path, last = name.split(".")
        wrappers |= {part: True for part in path if part in WRAPPERS}
        plain = ".".join([*(part for part in path if part not in WRAPPERS), last])
        if plain in tensors:
            raise KitError(f'"{file}" holds two tensors of the name "{plain}"; save one of the two.')
        tensors[plain] = value
        homes[plain] = "".join(f"{part}." for part in home.split(".")[:-1] if part not in WRAPPERS)
    if not tensors:
        raise KitError(
            f'"{file}" holds {_described(raw)}, but no weights by name; '
            "save them with torch.save(model.state_dict(), ...)."
        )
    adapted = [n for n in tensors if any(p.startswith("lora_") or p in ADAPTERS for p in n.split("."))]
    if adapted:
        raise KitError(
            f'"{file}" holds adapters that are not merged into the weights ({some(adapted)}), and how strong '
            "they are is not in the file; merge them where the model was trained, model.merge_and_unload(), "
            "and save its whole state_dict()."
        )
    return Checkpoint(file, tensors, tuple(others), tuple(wrappers), homes)


def _described(raw) -> str:
    if not isinstance(raw, dict):
        return "arguments of a trainer" if isinstance(raw, StandIn) else f"a {type(raw).__name__}"
    return f"a dict of {some(map(str, raw))}" if raw else "an empty dict"


def _leaves(tree, path: str = "", met: Counter | None = None, within=()) -> Iterator[tuple[str, object, str]]:
    """Full name, value and dict of tensors, and of what lies in one dict with them.

    A dict may contain itself, which ends there, and lie in several places, of which the first few count.
    """
    met = Counter() if met is None else met
    within = (*within, id(tree))
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    pairs = [(f"{path}{key}", value) for key, value in pairs]
    flat = any(isinstance(value, Tensor) for _, value in pairs) and isinstance(tree, dict)
    for name, value in pairs:
        if isinstance(value, Tensor):
            yield name, value, path
        elif isinstance(value, dict | list | tuple):
            met[id(value)] += 1
            if id(value) not in within and met[id(value)] <= PLACES:
                yield from _leaves(value, f"{name}.", met, within)
        elif flat:
            yield name, value, path


def _count(tensors: dict, prefix: str, names: dict) -> int:
    return sum(prefix + name in tensors for name in names)


def _alike(parts: list[str], path: list[str]) -> Iterator[str]:
    for part, other in zip(parts, path, strict=False):
        if part != other:
            return
        yield part


def needed(module: nn.Module, leave: tuple[str, ...] = ()) -> dict[str, torch.Size]:
    """Names and shapes of what a file must hold for a module; `leave`: prefixes that are not asked of it."""
    return {
        name: value.shape
        for name, value in module.state_dict().items()
        if name.split(".")[-1] not in (*IGNORED, COUNTER) and not name.startswith(leave)
    }


def places(checkpoint: Checkpoint, names: dict) -> Counter:
    """Prefixes under which names of a model lie -> how many of them."""
    found = Counter()
    for full in checkpoint.tensors:
        parts = full.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in names:
                found["".join(f"{part}." for part in parts[:cut])] += 1
    return found


def chosen(prefix: str, key: str | None) -> bool:
    """Whether a key names this prefix: all of it, or components of it in their order; "" names any.

    Example:
        >>> [chosen("teacher.backbone.", key) for key in ("teacher", "teacher.backbone", "student", "teach")]
        [True, True, False, False]
    """
    if key is None:
        return True
    rest = iter(prefix.split("."))
    return all(part in rest for part in key.split(".") if part and part not in WRAPPERS)


def pick(checkpoint: Checkpoint, fitting: dict[str, dict[str, Tensor]], key: str | None, model: str) -> str:
    """The one prefix of those that fit, or an error that lists them.

    Sets of weights that are equal to the bit are one.

    Args:
        fitting: prefix of the key -> the tensors that the model takes from there; at least one.

    Raises:
        KitError: several fit and differ, and `key` does not tell which.
    """
    found = list(fitting)
    exact = [prefix for prefix in found if key is not None and prefix == (f"{key}." if key else "")]
    found = exact or found
    first = found[0]
    if all(_equal(fitting[first], fitting[other]) for other in found[1:]):
        return first
    paths = [prefix[:-1] for prefix in found]
    raise KitError(
        f'"{checkpoint.file}" holds {len(paths)} sets of weights that fit "{model}": '
        f"{', '.join(_quoted(path) for path in paths)}; say which one is meant: key={_quoted(paths[-1])}."
    )


def expect_key(checkpoint: Checkpoint, key: str | None) -> None:
    """Raise where nothing in a file lies under a key."""
    if key is not None and not any(chosen(name, key) for name in checkpoint.tensors):
        raise KitError(
            f'"{checkpoint.file}" holds no "{key}"; its tensors lie under '
            f"{', '.join(_quoted(g) for g in groups(checkpoint)[:8])}."
        )


def groups(checkpoint: Checkpoint) -> list[str]:
    """The first components of all names, and the second ones of what lies deeper."""
    return list(dict.fromkeys(".".join(name.split(".")[:-1][:2]) or name for name in checkpoint.tensors))


def taken(checkpoint: Checkpoint, prefix: str, used: dict[str, Tensor]) -> list[str]:
    """The note on where in a file the weights were found, and on what else it holds."""
    parts, rest = [], checkpoint.beside(prefix, used)
    if prefix or rest:
        place = f'"{prefix[:-1]}"' if prefix else "the outermost names"
        also = f"; it also holds {', '.join(map(_quoted, rest[:6]))}" if rest else ""
        also += ", ..." if len(rest) > 6 else ""
        parts.append(f"Weights taken from {place} of {checkpoint.file}{also}.")
    if checkpoint.wrappers:
        listed = " and ".join(map(_quoted, checkpoint.wrappers))
        parts.append(f"{listed} taken out of the names of {checkpoint.file}.")
    return parts


def _quoted(path: str) -> str:
    return f'"{path}"'


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        _bits(value) is not None
        and value.dtype == other[name].dtype
        and value.shape == other[name].shape
        and torch.equal(_bits(value), _bits(other[name]))
        for name, value in one.items()
    )


def _bits(value: Tensor) -> Tensor | None:
    """The bytes of a tensor that holds its values one after the other; None of any other."""
    if not is_plain(value):
        return None
    return value.detach().contiguous().flatten().view(torch.uint8)
