"""A panel of a dummy result: a map, a grid and a bar for each text, from a seed; no tower."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from PIL import Image

from kit.errors import KitError
from kit.figures import Bars, Grid, Maps, number
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, Number, Pick, State, Words

MODEL = SimpleNamespace(label="toy", name="toy", weights_hash="0" * 64)
TEXTS = ["a cat", "a dog", "a hat"]
INDEX = pd.DataFrame([(f"L{i}.H{j}", "head", i, j) for i in range(2) for j in range(3)],
                     columns=["name", "kind", "layer", "head"])  # fmt: skip


class Toy(DeclaredPanel):
    """Heads that write at random, asked for three texts."""

    scene = Menu(None, "picture")
    text = Menu(None, "text", figure="bars")
    draws = Number(100, "draws", 10, 500, "more draws make the intervals shorter")
    name = Words("", "name", "a name of your own", "100%")
    part = Pick("heads")
    positional = ("scene", "text", "part")
    rows = (("scene", "text", "draws"), "name", ("map", "heads", "bars"))

    def options(self, name: str) -> list:
        return {"scene": ["red", "blue"], "text": TEXTS, "part": list(INDEX["name"])}.get(name, [])

    def scores(self, scene: str) -> np.ndarray:
        """What each head and token writes for each text, [part, row, col, text]."""
        return np.random.default_rng(len(scene)).normal(size=(len(INDEX), 4, 4, len(TEXTS)))

    def show(self, s: State) -> Shown:
        if s.name == "nobody":
            raise KitError('"nobody" is no name here; write another, or none.')
        scores, part, text = self.scores(s.scene), list(INDEX["name"]).index(s.part), TEXTS.index(s.text)
        heads, bars, wide = scores.sum((1, 2))[:, text], scores[part].sum((0, 1)), 9 / s.draws**0.5
        picture, ends = Image.new("RGB", (64, 64), s.scene), {"low": bars - wide, "high": bars + wide}
        caption = f"{s.name or s.part} writes {number(bars[text], sign=True)} for ‘{s.text}’."
        heat = Maps([scores[part, ..., text]], [picture], "share", title=f"Where: what {s.part} reads")
        grid = Grid(INDEX, heads, "share", picked=[s.part], title="Who: what each head writes")
        chart = Bars(TEXTS, bars, "share", **ends, picked=s.text, title="For what: 95 % intervals")
        figures = {"map": heat, "heads": grid, "bars": chart}
        return Shown(caption, figures, about=s.scene, images=f"the {s.scene} picture")

    def loaded(self) -> str:
        return "import numpy as np"

    def lines(self) -> str:
        seed = len(self.selection.scene)
        return f"np.random.default_rng({seed}).normal(size=(6, 4, 4, 3)).sum((1, 2))"
