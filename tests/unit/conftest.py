"""A small model, pictures, and a pass over them."""

import pytest

from kit.data import read_folder
from kit.parts import collect
from tests.unit.lost import BATCH, picture, tiny_clip


@pytest.fixture
def tiny():
    return tiny_clip()


@pytest.fixture
def pictures(tmp_path):
    """Seven pictures of equal size in bytes, in two class folders whose names look like one number."""
    for number in range(7):
        place = tmp_path / "pictures" / ("001" if number % 2 else "1")
        place.mkdir(parents=True, exist_ok=True)
        picture(number).save(place / f"{number}.bmp")
    return tmp_path / "pictures"


@pytest.fixture
def make(tiny, pictures, tmp_path):
    """`make(keep)`: the pass over the pictures, into `tmp_path / "out" / keep`."""

    def made(keep: str, **options):
        options = {"name": "pictures", "batch": BATCH, "path": tmp_path / "out" / keep} | options
        return collect(tiny, read_folder(pictures), keep, **options)

    return made
