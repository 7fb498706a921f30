"""Retrieval by head on a real tower and photographs, written to docs/real_retrieval.md.

`python -m tests.bench.real_retrieval`; `KIT_REAL_WEIGHTS` names the folder of weights and photographs.
"""

import os
import tempfile
from pathlib import Path

import pandas as pd

import kit
from kit.retrieval import retrieval_table
from tests.bench.harness import settings
from tests.bench.real_data import folder, open_clip_layout, rows
from tests.bench.real_maps import table

PAGE = Path(__file__).parents[2] / "docs" / "real_retrieval.md"
HOWS = ("product", "raw", "centred")


def photographs() -> dict[str, tuple[list[Path], pd.DataFrame]]:
    """Photographs with something to be alike in: ants and bees; coco128 by main class and by its size."""
    insects = pd.DataFrame(rows("photos/ants_bees/labels.csv"))
    coco = pd.DataFrame(rows("photos/coco128/labels.csv"))
    area = pd.to_numeric(coco["main_class_area"], errors="coerce")
    known = coco["main_class"].where(coco["main_class"] != "")
    often = known.where(known.map(known.value_counts()) >= 4)
    size = pd.Series(pd.NA, index=coco.index, dtype="object")
    size[area > area.median()], size[area <= area.median()] = "large", "small"
    place = folder() / "photos"
    return {
        "ants and bees": ([place / "ants_bees" / f for f in insects["file"]], insects[["label"]]),
        "coco128": (
            [place / "coco128" / "images" / f for f in coco["image"]],
            pd.DataFrame({"main class": often, "size of it": size}),
        ),
    }


def main() -> None:
    """Measure and write the page."""
    lines = {how: [] for how in HOWS}
    for model in (open_clip_layout(), open_clip_layout("random")):
        with tempfile.TemporaryDirectory() as place:
            for name, (paths, labels) in photographs().items():
                store = kit.collect(model, paths, "store", name, selector="L*", path=Path(place) / name[:4])
                for how in HOWS:
                    found = retrieval_table(model, store, labels, how=how, k=5)
                    lines[how] += [
                        [f"{'real' if model.trained else 'random weights'}, {name}", r.attribute, r.space,
                         r.part if r.space != "random head" else "others of its layer", str(r.images),
                         f"{r.chance:.2f}", f"{r.value:.2f} [{r.low:.2f}, {r.high:.2f}]",
                         f"{r.change:+.2f} [{r.change_low:+.2f}, {r.change_high:+.2f}]"]
                        for r in found.itertuples()
                    ]  # fmt: skip
    head = ["tower, photographs", "alike in", "space", "part", "images", "chance", "precision", "minus full"]
    tables = "\n\n".join(f"## {how}\n\n{table(head, lines[how])}" for how in reversed(HOWS))
    part = PAGE.with_suffix(".part")
    page = PAGE_TEXT.format(versions=f"torch {settings()['torch']}", tables=tables)
    part.write_text(page, encoding="utf-8", newline="\n")
    os.replace(part, PAGE)
    print(PAGE)


PAGE_TEXT = """# Retrieval by head on a real tower

A real ViT-Ti/16 in open_clip's layout (12 layers of 3 heads), with a projection that was fitted into the
text space of a real CLIP. It is no released CLIP: nothing here is a figure of the paper. Photographs of
ants and bees, and of coco128 by the class that covers most of each (of those that four or more have) and by
whether it covers more than in half of the photographs. The same with random weights stands below each.

Precision is the share of the five nearest that are alike. Roles of these heads are not known: the head is
the one with the best precision on one half of the photographs, and everything is measured on the other
half (seed 0), with 95 % intervals over queries; differences are paired. *product*, *raw* and *centred* are
inner product, cosine, and cosine about the mean of the photographs.

Made with `KIT_REAL_WEIGHTS=FOLDER python -m tests.bench.real_retrieval`, {versions}.

{tables}
"""


if __name__ == "__main__":
    main()
