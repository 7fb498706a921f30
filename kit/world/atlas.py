"""The icons and printed words that scenes are made of, loaded once, as tensors."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kit.world.values import VALUES

FOLDER = Path(__file__).parent / "atlas"
CELL = 96  # pixels on a side of a sticker on its sheet
COLUMNS = 16
WORD_WIDTH, WORD_HEIGHT = 62, 16
FINE = 8  # how much larger the words are that `finer` draws with


@cache
def missing() -> dict[str, list[str]]:
    """Concepts that an artist has no usable drawing of."""
    return json.loads((FOLDER / "missing.json").read_text())


@cache
def available() -> Tensor:
    """Whether an artist drew a concept, bool [artist, concept]."""
    lost = missing()
    return torch.tensor([[c not in lost[a] for c in VALUES["concept"]] for a in VALUES["artist"]])


@cache
def stickers() -> Tensor:
    """Every sticker with colours multiplied by alpha, uint8 [artist, concept, 4, CELL, CELL]."""
    count = len(VALUES["concept"])
    pages = []
    for artist in VALUES["artist"]:
        page = np.asarray(Image.open(FOLDER / f"{artist}.webp").convert("RGBA"))
        rows = page.shape[0] // CELL
        cells = page.reshape(rows, CELL, COLUMNS, CELL, 4).transpose(0, 2, 4, 1, 3)
        cells = torch.from_numpy(cells.reshape(rows * COLUMNS, 4, CELL, CELL)[:count].astype(np.int32))
        colour = (cells[:, :3] * cells[:, 3:] + 127) // 255
        pages.append(torch.cat([colour, cells[:, 3:]], 1).to(torch.uint8))
    return torch.stack(pages)


@cache
def words(fine: bool = False) -> tuple[Tensor, Tensor]:
    """Printed words: ink and box, uint8 [word, 2, WORD_HEIGHT, WORD_WIDTH], and box widths, int64 [word].

    With `fine` the same at `FINE` times the size.
    """
    page = np.asarray(Image.open(FOLDER / f"words{'_fine' * fine}.webp").convert("RGBA"))
    cells = torch.from_numpy(page.reshape(len(VALUES["word"]), -1, page.shape[1], 4).copy())
    box = cells[..., 3]
    sheet = torch.stack([cells[..., 0], box], 1)  # [word, 2, row, col]
    return sheet, (box[:, 0] > 0).sum(1)
