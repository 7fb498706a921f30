"""Every bad input gives its exact sentence and changes nothing; the rows are in `bad_input_rows.py`."""

import copy

import pytest
import torch

from kit.errors import KitError
from tests.unit.bad_input_engine import ENGINE
from tests.unit.bad_input_rows import ROWS, At, make

ALL = [*ROWS, *ENGINE]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("bad"))


def state_of(model) -> tuple:
    """All of a model that a failed call might have touched."""
    return (
        dict(model.passes),
        list(model._text_cache),
        list(model.notes),
        [
            (name, value.dtype, value.double().sum().item())
            for name, value in model.library_model.state_dict().items()
        ],
        [module.training for module in model.library_model.modules()],
    )


def state(at: At) -> tuple:
    files = sorted(
        (path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in at.files.rglob("*")
    )
    models = [state_of(model) for model in (at.model, at.vision, at.classifier)]
    return (
        models,
        files,
        torch.random.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.what)
def test_bad_input_gives_its_sentence_and_changes_nothing(row, made, capsys):
    at = copy.copy(made)
    if row.prepare:
        at.model = copy.deepcopy(made.model)
        row.prepare(at)
    before = state(at)
    with pytest.raises(KitError) as caught:
        row.call(at)
    message = row.message.format(files=at.files.as_posix())
    said = str(caught.value)
    if message.endswith("..."):
        said, message = said[: len(message) - 3], message[:-3]
    assert said == message
    assert state(at) == before
    assert capsys.readouterr().out == "", "a weights file ran code"


def test_the_table_is_long_and_its_rows_differ():
    assert len(ALL) >= 30
    assert len({row.what for row in ALL}) == len(ALL)


def test_good_input_still_works_after_all_of_it(made):
    assert made.model.encode_image(made.pixels).shape == (2, 24)
    assert made.model.encode_text("a dog").shape == (1, 24)
