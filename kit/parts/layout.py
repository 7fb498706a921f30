"""Where each part sits in the grid of layers and heads."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class GridLayout:
    """Cells of the layer × head grid, row by row.

    `parts` holds the row of `run.index` that each cell shows, -1 where there is no cell; a wide cell
    (`spans` > 1) covers the cells to its right. Rows are layers; the columns are the heads, then the
    MLP, then the constants of the layer; parts without a layer stand below.
    """

    rows: int
    cols: int
    parts: np.ndarray  # [rows * cols]
    spans: list[int]
    labels: list[str]
    row_names: list[str]
    col_names: list[str]

    def cells_of(self, parts) -> list[int]:
        """The cells that show these parts."""
        wanted = {int(p) for p in parts}
        return [cell for cell, part in enumerate(self.parts) if int(part) in wanted]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the parts at their cells, float32 [rows * cols]; NaN where there is no cell."""
        padded = np.append(np.asarray(values, dtype=np.float32), np.float32("nan"))
        return padded[self.parts]


def grid_layout(index: pd.DataFrame) -> GridLayout:
    """The grid for the parts of one model, from `run.index`.

    Example:
        >>> index = pd.DataFrame({"name": ["embed", "L0.H0", "L0.H1", "L0.MLP"], "layer": [None, 0, 0, 0],
        ...                       "kind": ["embed", "head", "head", "mlp"], "head": [None, 0, 1, None]})
        >>> grid_layout(index).col_names
        ['H0', 'H1', 'MLP']
    """
    heads = index[index.kind == "head"]
    columns = [f"H{h}" for h in range(int(heads["head"].max()) + 1)] if len(heads) else []
    layered = index[index.layer.notna() & index.kind.isin(["mlp", "bias"])].drop_duplicates(["layer", "kind"])
    columns += [name for kind, name in (("mlp", "MLP"), ("bias", "bias")) if (layered.kind == kind).any()]
    layers = sorted({int(layer) for layer in [*heads.layer, *layered.layer]})
    placed = {*_rows(index, heads), *_rows(index, layered)}
    rest = [row for row in range(len(index)) if row not in placed]
    cols = max(len(columns), 4)
    span = max(2, cols // max(1, min(len(rest), cols // 2)))
    per_row = max(1, cols // span)
    rest_rows = -(-len(rest) // per_row)

    parts = np.full((len(layers) + rest_rows, cols), -1, dtype=np.int64)
    spans = np.ones_like(parts)
    column_of = {"mlp": "MLP", "bias": "bias"}
    for frame in (heads, layered):
        for row, part in zip(_rows(index, frame), frame.itertuples()):
            name = f"H{int(part.head)}" if part.kind == "head" else column_of[part.kind]
            parts[layers.index(int(part.layer)), columns.index(name)] = row
    for number, row in enumerate(rest):
        where = len(layers) + number // per_row, span * (number % per_row)
        parts[where], spans[where] = row, min(span, cols - where[1])
    names = index.name.tolist()
    return GridLayout(
        rows=len(parts),
        cols=cols,
        parts=parts.reshape(-1),
        spans=spans.reshape(-1).tolist(),
        labels=[names[p] if p >= 0 else "" for p in parts.reshape(-1)],
        row_names=[f"L{layer}" for layer in layers] + [""] * rest_rows,
        col_names=columns,
    )


def _rows(index: pd.DataFrame, frame: pd.DataFrame) -> list[int]:
    """Row numbers of `frame`, counted in `index`."""
    return index.index.get_indexer(frame.index).tolist()
