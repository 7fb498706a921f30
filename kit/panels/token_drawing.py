"""What the panel of heads and tokens shows, as a still picture and as one table."""

import numpy as np
import pandas as pd
from PIL import Image

from kit.panels import pictures
from kit.panels.drawing import FAINT, GROUND, INK, colours
from kit.panels.heat_panel import png_bytes
from kit.panels.pictures import FINE, Sheet
from kit.panels.token_looks import Look, TokenState
from kit.panels.truth import Picture


def token_png(look: Look, state: TokenState, picture: Picture) -> bytes:
    """Maps of the chosen heads, the readers of the picked tokens, and the frames of the film, as PNG."""
    heats = [None, *look.maps] + ([] if look.difference is None else [look.difference])
    titles = [picture.name, *look.heads, "first minus second"][: len(heats)]
    film = look.film
    frames, layers = film.frames[state.film], len(film.heads)
    step = -(-layers // 6)  # six frames at most, the last one among them
    shown = list(range(layers))[::-1][::step][::-1]
    alone = state.film == "each layer"
    names = [f"layer {k}" if alone or not k else f"layers 0-{k}" for k in shown]
    rows = [
        pictures.maps([picture.image] * len(heats), heats, titles, f"{look.unit}; {state.shows}", "").image,
        _readers(look, state),
        pictures.maps(
            [picture.image] * len(shown), [frames[k] for k in shown], names, "what all heads add", ""
        ).image,
    ]
    head = Sheet(rows[0].width / FINE, 42, f"{state.model} · {picture.name} · {state.texts[state.text]}")
    head.text((8, 26), f"truth: {picture.line}" if picture.line else picture.note, FAINT, "la", 11)
    rows.insert(0, head.image)
    sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), GROUND)
    for number, row in enumerate(rows):
        sheet.paste(row, (0, sum(r.height for r in rows[:number])))
    return png_bytes(pictures.few_colours(sheet))


def _readers(look: Look, state: TokenState) -> Image.Image:
    """Prompts by the heads that read most, one number in each cell."""
    left, top, cell = 170, 52, (54, 24)
    fills = colours(look.reads, look.read_limit)
    where, digits = state.tokens or "the whole picture", 4 if look.read_limit < 0.02 else 3
    width = left + cell[0] * len(look.readers) + 30
    sheet = Sheet(width, top + cell[1] * len(state.texts) + 46, "")
    sheet.text((8, 8), f"Who reads {where}, for which prompt", INK, "la", 13)
    for k, name in enumerate(look.readers):
        sheet.text((left + cell[0] * (k + 0.5), top - 16), name, FAINT, "ma", 11)
    for t, text in enumerate(state.texts):
        y = top + cell[1] * t
        sheet.text((left - 8, y + cell[1] / 2), text[:28], INK if t == state.text else FAINT, "rm", 12)
        for k in range(len(look.readers)):
            x, fill = left + cell[0] * k, tuple(fills[t, k].tolist())
            sheet.box((x, y, x + cell[0] - 2, y + cell[1] - 2), fill)
            ink = GROUND if np.mean(fill) < 140 else INK
            sheet.text((x + cell[0] / 2, y + cell[1] / 2), f"{look.reads[t, k]:+.{digits}f}", ink, "mm", 11)
    sheet.colour_bar(
        (left, top + cell[1] * len(state.texts) + 10), look.read_limit, "what a head adds", digits
    )
    return sheet.image


def look_table(look: Look, state: TokenState) -> pd.DataFrame:
    """All numbers of a look, one row for each.

    Returns:
        `view` ("map", "reader" or "film"), `name` (of the head, or of the frame), `token` or `prompt` where
        there is one, `value` (a share of a cosine, or of attention where the maps show attention).
    """
    prompt, rows = state.texts[state.text], []
    for head, prefix, heat in zip(look.heads, look.prefix, look.maps):
        about = {"prompt": prompt, "own text": look.own[look.heads.index(head)]}.get(state.shows, "")
        rows += [("map", head, f"prefix {n}", about, value) for n, value in enumerate(prefix)]
        rows += [("map", head, f"r{r}c{c}", about, value) for (r, c), value in np.ndenumerate(heat)]
    for (text, reader), value in np.ndenumerate(look.reads):
        rows.append(("reader", look.readers[reader], state.tokens, state.texts[text], value))
    for (layer, r, c), value in np.ndenumerate(look.film.frames[state.film]):
        rows.append(("film", f"{state.film}, layer {layer}", f"r{r}c{c}", prompt, value))
    return pd.DataFrame(rows, columns=["view", "name", "token", "prompt", "value"])
