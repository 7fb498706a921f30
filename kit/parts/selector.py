"""Choosing parts by a short text, such as `"L4-5.H*, L3.MLP, !L5.H0"`."""

import re

import pandas as pd

from kit.errors import KitError, nearest

_LAYER = re.compile(r"^L(?P<first>-?\d+|\*)(?:(?P<tail>:)|-(?P<last>\d+))?(?:\.(?P<what>.+))?$")
_HEAD = re.compile(r"^H(?P<first>\d+|\*)(?:-(?P<last>\d+))?$")


def select(index: pd.DataFrame, selector: str) -> list[int]:
    """Row numbers of the parts that a selector names, in the order of the index.

    Terms are joined by `,`; a term that begins with `!` takes its parts away from what the terms
    before it chose (from everything, where it is the first).

    | term | parts |
    |---|---|
    | `L5` | heads, MLP and attention bias of layer 5 |
    | `L5.H3`, `L5.H1-3`, `L5.H*` | heads of layer 5 |
    | `L5.MLP`, `L5.attn`, `L5.attn.bias` | the named part; `attn` is all heads of the layer |
    | `L4-6`, `L-4:` | layers 4 to 6; the last four |
    | `*`, `all`, `none`, `bias` | everything, everything, nothing, all constants |
    | any part's own name | that part |

    Args:
        index: parts with columns name, kind, layer, head.
        selector: the text.

    Returns:
        Sorted row numbers, each once.

    Raises:
        KitError: an empty selector, an unknown part, or a reversed range.

    Example:
        >>> index = pd.DataFrame({"name": ["embed", "L0.H0", "L0.H1"], "kind": ["embed", "head", "head"],
        ...                       "layer": [None, 0, 0], "head": [None, 0, 1]})
        >>> select(index, "all, !L0.H0")
        [0, 2]
    """
    if not isinstance(selector, str):
        raise KitError(f'a selector is a text such as "L3.H1, L5.MLP", not {type(selector).__name__}.')
    terms = [t.strip() for t in selector.split(",")]
    if not any(terms):
        raise KitError('the selector is empty; write "none" for no part, "all" for every part.')
    if not all(terms):
        raise KitError(f'the selector "{selector}" has an empty term between its commas.')
    chosen = set(range(len(index))) if terms[0].startswith("!") else set()
    for term in terms:
        found = _term(index, term.removeprefix("!").strip())
        chosen = chosen - found if term.startswith("!") else chosen | found
    return sorted(chosen)


def _term(index: pd.DataFrame, term: str) -> set[int]:
    if term in ("*", "all"):
        return set(range(len(index)))
    if term == "none":
        return set()
    if term == "bias":
        return _where(index.kind == "bias")
    named = _where(index["name"] == term)
    if named:
        return named
    match = _LAYER.match(term)
    if not match:
        known = [*index["name"], "all", "none", "bias"]
        raise KitError(f'no part "{term}"; parts are named like {_some(index)}.{nearest(term, known)}')
    found = _where(index["layer"].isin(_layers(index, term, match)).fillna(False))
    if match["what"]:
        found &= _what(index, term, match["what"], found)
    return found


def _layers(index: pd.DataFrame, term: str, match: re.Match) -> list[int]:
    if index["layer"].isna().all():
        raise KitError(f'"{term}" asks for a layer, and there is none; parts are named like {_some(index)}.')
    count = int(index["layer"].max()) + 1
    first, last, tail = match["first"], match["last"], match["tail"]
    if first == "*":
        return list(range(count))
    start = int(first)
    if tail:
        if start >= 0 or -start > count:
            raise KitError(f'"{term}" asks for the last layers as L-4:, from 1 to {count} of them.')
        return list(range(count + start, count))
    stop = start if last is None else int(last)
    if stop < start:
        raise KitError(f'the range in "{term}" is reversed; write L{stop}-{start}.')
    if start < 0 or stop >= count:
        missing = start if start < 0 or start >= count else stop
        raise KitError(f"layer {missing} does not exist: there are {count} layers (0–{count - 1}).")
    return list(range(start, stop + 1))


def _what(index: pd.DataFrame, term: str, what: str, found: set[int]) -> set[int]:
    """Parts of the chosen layers that the text behind the dot names."""
    layers = index.iloc[sorted(found)]
    if what in ("MLP", "attn", "attn.bias"):
        kind = {"MLP": ["mlp"], "attn": ["head", "attn"], "attn.bias": ["bias"]}[what]
        return _where(index["kind"].isin(kind))
    match = _HEAD.match(what)
    if not match:
        raise KitError(f'"{term}" asks for "{what}"; a layer has H0, H1-3, H*, attn, MLP and attn.bias.')
    heads = layers[layers["kind"] == "head"]["head"]
    if match["first"] == "*":
        return _where(index["kind"] == "head")
    start = int(match["first"])
    stop = start if match["last"] is None else int(match["last"])
    if stop < start:
        raise KitError(f'the range in "{term}" is reversed; write H{stop}-{start}.')
    if not len(heads):
        raise KitError(f'"{term}" asks for heads, but these parts are whole layers; use by="head".')
    fewest = int(layers[layers["kind"] == "head"].groupby("layer")["head"].max().min()) + 1
    if stop >= fewest:
        layer = term.split(".")[0].removeprefix("L")
        missing = start if start >= fewest else stop
        raise KitError(
            f"head {missing} of layer {layer} does not exist: it has {fewest} heads (0–{fewest - 1})."
        )
    return _where(index["head"].isin(range(start, stop + 1)).fillna(False))


def _where(mask: pd.Series) -> set[int]:
    return {i for i, hit in enumerate(mask) if hit}


def _some(index: pd.DataFrame) -> str:
    names = list(index["name"])
    return ", ".join(names[:3] + names[-1:])
