"""Sentences of the panel of heads and tokens: all made from its arrays."""

import numpy as np

from kit.panels.words import signed


def sentences(look, state, picture) -> dict[str, str]:
    """What the drawings show, by the name of each drawing: `caption`, `readers`, `gaze`, `pair`, `film`."""
    prompt = state.texts[state.text]
    return {
        "caption": _of_own(look) if state.shows == "own text" else " ".join(f.caption for f in look.found),
        "readers": _readers(look, state, prompt),
        "gaze": " ".join(_gaze(look, state, k) for k in range(len(look.heads)) if len(look.gaze[k])),
        "pair": _pair(look, state),
        "film": _film(look, state, prompt, picture),
    }


def small(value: float) -> str:
    """What one token adds: four decimals."""
    return signed(value, 4)


def _readers(look, state, prompt: str) -> str:
    """Who reads the picked tokens most, for which prompt."""
    where = state.tokens or "the whole picture"
    everyone = "all heads that have maps" if state.tokens and look.no_maps else "all heads"
    size = np.abs(look.reads)
    strongest = np.where(size > 0.999 * size.max(), look.reads, -np.inf)  # of equals, who adds
    text, column = np.unravel_index(strongest.argmax(), size.shape)
    own = np.abs(look.reads[state.text]).argsort()[::-1][:2]
    said = " and ".join(f"{look.readers[k]} {small(look.reads[state.text, k])}" for k in own)
    most = f"{look.readers[column]}, {small(look.reads[text, column])} to ‘{state.texts[text]}’"
    return (
        f"From {where} {everyone} add {small(look.bars[state.text, 0])} to ‘{prompt}’, most of it {said}. "
        f"Strongest reader for any prompt: {most}."
    )


def _gaze(look, state, k: int) -> str:
    """Where a head looks most, and what that adds."""
    gaze, n = look.gaze[k], len(look.prefix[k])
    most = int(gaze.argmax())
    found = look.found[k]
    adds = np.concatenate([found.prefix, found.heat.reshape(-1)])
    return (
        f"{look.heads[k]} looks most at {token_name(most, n, found.heat.shape)}: {gaze[most]:.0%} of its "
        f"attention, and {small(adds[most])} of its {small(adds.sum())} for the prompt."
    )


def _pair(look, state) -> str:
    """What two heads have apart."""
    if look.difference is None:
        return "Shift-click another head, or press “hold beside”, to see two side by side."
    if np.isnan(look.difference).any():
        return look.no_maps
    place = np.unravel_index(np.abs(look.difference).argmax(), look.difference.shape)
    first, second = (float(values.sum()) for values in look.maps)
    return (
        f"{look.heads[0]} minus {look.heads[1]}: largest at r{place[0]}c{place[1]}, "
        f"{small(look.difference[place])}. Sums over the patches: {small(first)} and {small(second)}. "
        f"All three have one colour scale, ±{look.limit:g}."
    )


def _film(look, state, prompt: str, picture) -> str:
    """Which layer, how much it adds, and how much there is so far."""
    film, layer = look.film, state.layer
    heads, rest = film.heads[: layer + 1].sum(), film.rest[: layer + 1].sum()
    last = layer == len(film.heads) - 1
    whole = film.before + film.heads.sum() + film.rest.sum() + film.after
    so_far = film.before + heads + rest + (film.after if last else 0.0)
    frame = film.frames["each layer"][layer]
    on = picture.tokens_on(frame.shape)
    where = ""
    if on is not None and not np.isnan(frame).any():
        shares = [f"{signed(frame[here].sum())} on the {thing}" for here, thing in zip(on, picture.things)]
        where = f" ({', '.join(shares)})"
    return (
        f"Layer {layer} of 0–{len(film.heads) - 1}: its heads add {signed(film.heads[layer])} to ‘{prompt}’"
        f"{where}. Heads so far {signed(heads)}; with MLPs and constants, which have no place, "
        f"{signed(so_far)} of {signed(whole)}."
    )


def _of_own(look) -> str:
    """What each head writes for its own first text."""
    said = []
    for head, text, heat, prefix in zip(look.heads, look.own, look.maps, look.prefix):
        place = np.unravel_index(heat.argmax(), heat.shape)
        said.append(
            f"The first text of {head} is ‘{text}’: it adds {signed(heat.sum() + prefix.sum())} to it here, "
            f"most at r{place[0]}c{place[1]} ({signed(heat[place])})."
        )
    return " ".join(said)


def token_name(number: int, prefix: int, shape: tuple[int, int]) -> str:
    """What a token is called, by its number.

    Example:
        >>> token_name(0, 1, (8, 8)), token_name(10, 1, (8, 8))
        ('the class token', 'r1c1')
    """
    if number < prefix:
        return "the class token" if number == 0 else f"register {number - 1}"
    row, col = divmod(number - prefix, shape[1])
    return f"r{row}c{col}"
