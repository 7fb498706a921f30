"""Notebook 16 on real data: where heads read what they write along their first texts (figure 6)."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from kit.parts import scores
from kit.projections import textspan
from kit.sweep.spans import Heads
from kit.sweep.work import Work

IMAGES, HEADS = 4, 6
SIDE, GAP = 144, 6  # pixels
STOPS = [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]]


def run(work: Work) -> dict:
    """Maps of the heads whose first texts explain most, one head for each property, over a few pictures.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 6: the joint decomposition into heads and tokens.
    """
    store, name = work.store("imagenet"), next(iter(work.banks))
    heads = Heads.of(work.model.layers, work.settings.last)
    bank = work.banks[name]
    table = textspan(store.moments(selector=heads.last), bank, 1).table
    table = table.sort_values("share", ascending=False, kind="stable")
    some = table.groupby("property", sort=False).head(1).head(HEADS)
    vectors = torch.stack([bank.vectors[bank.texts.index(text)] for text in some["text"]])
    images = work.sets["imagenet"]
    first = store.labels.groupby("y", sort=False).head(1).index  # one picture of a class
    rng = np.random.default_rng(work.settings.seed)
    chosen = sorted(rng.choice(first, min(IMAGES, len(first)), replace=False).tolist())
    numbers = [images.names.index(store.files[n]) for n in chosen]
    pixels = work.model.preprocess([images[n] for n in numbers])
    values = scores(work.model, pixels, vectors, by="token", selector=", ".join(some["part"]))
    order = [sorted(some["part"], key=_place).index(part) for part in some["part"]]
    own = values.detach().cpu()[:, order, :, range(len(order))].numpy()  # [head, image, token]
    pictures = work.model.viewed([images[n] for n in numbers])
    prefix, grid = work.model.prefix_tokens, work.model.grid
    maps = own[:, :, prefix:].reshape(*own.shape[:2], *grid)
    limit = float(np.abs(maps).max()) or 1.0
    return {
        "bank": name,
        "heads": [
            {"part": r.part, "text": r.text, "property": r.property, "share": round(float(r.share), 6)}
            for r in some.itertuples()
        ],
        "pictures": [
            {"name": images.names[n], "class": store.labels["class_name"][c]} for n, c in zip(numbers, chosen)
        ],
        "scores": np.round(own.sum(2).T, 6).tolist(),  # [image][head]
        "limit": round(limit, 8),
        "png": base64.b64encode(_sheet(pictures, maps, limit)).decode(),
    }


def _place(part: str) -> tuple[int, ...]:
    """Layer and head, in which order parts come."""
    return tuple(int(word[1:]) for word in part.split("."))


def _sheet(pictures: list[Image.Image], maps: np.ndarray, limit: float) -> bytes:
    """Pictures down, heads across, maps laid over grey pictures, as PNG bytes."""
    across, down = 1 + len(maps), len(pictures)
    sheet = Image.new("RGBA", (across * (SIDE + GAP) - GAP, down * (SIDE + GAP) - GAP), (0, 0, 0, 0))
    for row, picture in enumerate(pictures):
        small = picture.resize((SIDE, SIDE))
        sheet.paste(small, (0, row * (SIDE + GAP)))
        grey = np.asarray(small.convert("L"), dtype=float)[..., None]
        for column, heat in enumerate(maps[:, row]):
            wide = np.asarray(Image.fromarray(heat.astype(np.float32)).resize((SIDE, SIDE), Image.BILINEAR))
            mixed = 0.75 * colours(wide / limit) + 0.25 * grey
            tile = Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))
            sheet.paste(tile, ((column + 1) * (SIDE + GAP), row * (SIDE + GAP)))
    held = io.BytesIO()
    sheet.save(held, "PNG", optimize=True)
    return held.getvalue()


def colours(values: np.ndarray) -> np.ndarray:
    """Blue to white to red for -1 to 1, [..., 3].

    Example:
        >>> colours(np.array([-1.0, 0.0])).tolist()
        [[33.0, 102.0, 172.0], [247.0, 247.0, 247.0]]
    """
    at = (np.clip(values, -1, 1) + 1) * 2
    return np.stack([np.interp(at, range(5), [stop[c] for stop in STOPS]) for c in range(3)], axis=-1)
