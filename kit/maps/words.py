"""Sentences of a panel: caption, sum, direction."""

from dataclasses import replace

import numpy as np

from kit.maps.pictures import Picture
from kit.maps.selection import Selection
from kit.numbers import signed
from kit.parts.part_scores import PartScores

SHOWN = 5e-4  # the least that three digits show
MOST = 0.8  # "from 6 of 64 tokens": the fewest that hold this share of what points the score's way


def with_sentences(found, scores: PartScores, state: Selection, picture: Picture):
    """The finding with its sentences filled in."""
    said, sums = caption(found, scores, state, picture), _sums(found, scores, state)
    return replace(found, caption=said, sums=sums, direction=_direction(state, scores))


def caption(found, scores: PartScores, state: Selection, picture: Picture) -> str:
    """The finding in one sentence: who adds how much to which prompt, from which tokens."""
    text, whole = state.texts[state.text], found.bars[state.text, 0]
    if not found.picked:
        return f"Nothing is selected: click a cell. The whole picture scores {signed(whole)} for ‘{text}’."
    subject, many = picked_of(found)
    if "." not in subject.split()[0]:  # the name of a module stays as it is
        subject = subject[0].upper() + subject[1:]
    score = float(scores.parts[found.picked, state.text].sum())
    if {*found.picked} <= {*found.off}:
        said = _change(found, state)
    elif score >= 0:
        said = f"{subject} add{'' if many else 's'} {signed(score)} of {_plain(whole)} to ‘{text}’"
    else:
        whole = f"the whole picture scores {signed(whole)}"
        said = f"{subject} lower{'' if many else 's'} ‘{text}’ by {abs(score):.3f} ({whole})"
    unknown = np.isnan(found.heat).any()
    refused = scores.no_maps if unknown and _has_heads(found) else ""
    if refused:
        pass  # said at the end
    elif unknown:
        said += "; only heads are split by token"
    elif found.tokens:
        said += _from_picked(found)
    elif not {*found.picked} <= {*found.off}:
        said += _from_tokens(found, score, picture)
    notes = f" Off = mean over {scores.means_name}." if found.off and state.replace == "mean" else ""
    notes += (
        f" All scores are minus the mean over {scores.means_name}." if state.directions == "reference" else ""
    )
    return said + "." + notes + (f" {refused[0].upper()}{refused[1:]}" if refused else "")


def _change(found, state: Selection) -> str:
    """What becomes of the prompt with the parts that are off."""
    subject, many = who([found.names[i] for i in found.off])
    before, after = (
        round(float(bar), 3) + 0.0 for bar in (found.marks[state.text], found.bars[state.text, 0])
    )
    moves = f"{'falls' if after < before else 'rises'} from {_plain(before)} to {_plain(after)}"
    moves = f"stays at {_plain(after)}" if after == before else moves
    return f"{subject} {'are' if many else 'is'} off: ‘{state.texts[state.text]}’ {moves}"


def _from_picked(found) -> str:
    """What the selected heads read at the picked tokens, and which of all heads write most from there."""
    share = float(np.concatenate([found.prefix, found.heat.reshape(-1)])[found.tokens].sum())
    order = sorted(np.flatnonzero(~np.isnan(found.cells)), key=lambda i: -abs(found.cells[i]))
    most = " and ".join(f"{found.names[i]} ({signed(found.cells[i])})" for i in order[:2])
    said = f"; {signed(share)} of it comes from {_picked_tokens(found)}."
    return f"{said} Of all heads {most} write most from there"


def _has_heads(found) -> bool:
    return any(found.kinds[i] == "head" for i in found.picked)


def holding_tokens(heat: np.ndarray, score: float) -> np.ndarray:
    """The fewest patches that hold 80 % of what points the way of `score`, bool [rows, cols].

    Example:
        >>> holding_tokens(np.array([[3.0, 1.0], [-5.0, 0.1]]), score=1.0)
        array([[ True,  True],
               [False, False]])
    """
    towards = np.maximum(heat if score >= 0 else -heat, 0).reshape(-1).astype(np.float64)
    order = np.argsort(-towards, kind="stable")
    held = np.zeros(towards.size, dtype=bool)
    if towards.sum() > 0:
        held[order[: np.searchsorted(np.cumsum(towards[order]), MOST * towards.sum()) + 1]] = True
    return held.reshape(heat.shape)


def _from_tokens(found, score: float, picture: Picture) -> str:
    held = holding_tokens(found.heat, score)
    said = f", mostly from {held.sum()} of {held.size} tokens"
    on = picture.tokens_on(found.heat.shape)
    if on is not None and len(on) > 1:
        where = [*((here, f"tokens on the {t}") for here, t in zip(on, picture.things))]
        where.append((~on.any(0), "the background"))
        sums = [(float(found.heat[here].sum()), t) for here, t in where]
        each = [f"{signed(read)} from {t}" for read, t in sums if abs(read) >= SHOWN]
        said = f": {_listed(each)}" if each else ""
    elif on is not None:
        hits = (on & held).sum((1, 2))
        thing = int(hits.argmax())
        said += f", {hits[thing] or 'none'} of them on the {picture.things[thing]}"
    inner = float(found.prefix.sum())
    if abs(inner) > 0.3 * abs(score):
        said += f" ({signed(inner)} comes from the class token)"
    return said


def _sums(found, scores: PartScores, state: Selection) -> str:
    bar, total = signed(found.bars[state.text, 0], 4), signed(np.nansum(found.cells), 4)
    if found.tokens:
        return f"The cells show {_picked_tokens(found)} only, {total} in all."
    if state.effect == "total" and found.off:
        return f"The cells (direct effects) add up to {total}; with later layers run again, ‘whole’ is {bar}."
    return f"All {len(found.cells)} cells add up to {total}; the bar ‘whole’ is {bar}."


def _direction(state: Selection, scores: PartScores) -> str:
    others = len(state.texts) - 1
    if state.directions == "contrast" and others == 1:
        return f"‘{state.texts[state.text]}’ minus ‘{state.texts[1 - state.text]}’"
    if state.directions == "contrast" and others:
        return f"‘{state.texts[state.text]}’ minus the mean of the other {_count(others, 'prompt')}"
    if state.directions == "reference":
        return f"‘{state.texts[state.text]}’; each part minus its mean over {scores.means_name}"
    return f"‘{state.texts[state.text]}’ as it is"


def picked_of(found) -> tuple[str, bool]:
    """What the selected parts are called, and whether that is a plural."""
    heads = [i for i, kind in enumerate(found.kinds) if kind == "head"]
    if len(heads) > 3 and sorted(found.picked) == heads:
        return f"all {len(heads)} heads", True
    return who([found.names[i] for i in found.picked])


def who(names: list[str]) -> tuple[str, bool]:
    """What a list of parts is called, and whether that is a plural."""
    if len(names) == 1:
        return names[0], False
    if len(names) <= 3:
        return _listed(names), True
    return f"{len(names)} parts ({names[0]} … {names[-1]})", True


def _picked_tokens(found) -> str:
    return "the picked token" if len(found.tokens) == 1 else f"the {len(found.tokens)} picked tokens"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _plain(value: float) -> str:
    return signed(value).lstrip("+")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
