"""What a panel keeps: one run for each model and picture; and where a map puts its tokens."""

import numpy as np
import pytest

from kit.maps.findings import find
from kit.maps.pictures import scene_pictures
from kit.maps.selection import Selection
from kit.panels import encoded
from kit.parts.part_scores import part_scores
from tests.unit import panel_doubles as double


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(encoded, "run", double.Run)
    monkeypatch.setattr(encoded, "load_means", lambda model: double.means())
    monkeypatch.setattr(encoded, "shipped_names", lambda texts: ["other"])
    monkeypatch.setattr(encoded, "load", lambda name: double.Model(name))
    pictures = {picture.name: picture for picture in scene_pictures(double.Scenes())}
    return encoded.Encoded([double.Model()], lambda name, model: pictures[name])


def test_each_model_runs_once_on_each_picture(kept):
    for name in ("double", "other", "double", "other"):
        kept.find(Selection(model=name, image="scene 0", selector="all"))
    assert [kept.model(name).passes["image"] for name in ("double", "other")] == [1, 1]
    kept.find(Selection(model="double", image="scene 1", selector="all"))
    assert [kept.model(name).passes["image"] for name in ("double", "other")] == [2, 1]


def test_another_prompt_gives_other_scores(kept):
    first, second = (
        kept.find(Selection(model="double", image="scene 0", texts=texts, selector="all"))
        for texts in (("a cat", "a dog"), ("a fish", "a dog"))
    )
    assert not np.allclose(first.cells, second.cells)


def test_the_map_is_in_rows_and_columns_and_without_the_class_token():
    model, picture = double.Model(), scene_pictures(double.Scenes())[0]
    run = double.Run(model, model.preprocess([picture.image]))
    state = Selection(texts=("a cat", "a dog"), selector="L1.H2", image=picture.name, directions="raw")
    dirs = model.encode_text(list(state.texts))
    found = find(run, part_scores(run, dirs, means=double.means()), state, picture)
    head = run.heads.index(found.names.index("L1.H2"))
    rows, cols = run.grid
    for r in range(rows):
        for c in range(cols):
            value = run.by_token[0, head, run.prefix + r * cols + c] @ dirs[0] / run.norm[0]
            assert found.heat[r, c] == pytest.approx(float(value), abs=1e-6)
