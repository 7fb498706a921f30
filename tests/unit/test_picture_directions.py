"""Directions of a picture, and the head that adds most, as functions of arrays."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import kit
from kit.errors import KitError
from kit.maps.pictures import Picture, as_pictures
from kit.parts.part_scores import loudest
from kit.projections.prompts import DIRECTIONS, LINES, mean_representation, picture_direction


def test_the_head_that_adds_most_is_no_mlp_and_not_the_largest_negative():
    index = pd.DataFrame(
        {"name": ["embed", "L0.H0", "L0.H1", "L0.MLP"], "kind": ["embed", "head", "head", "mlp"]}
    )
    assert loudest(index, np.array([9.0, -5.0, 0.1, 3.0])) == "L0.H1"
    assert loudest(index.iloc[[0, 3]], np.array([1.0, 3.0])) == "L0.MLP"


def test_the_mean_is_that_of_the_representations_and_needs_two_pictures():
    model = kit.load("stickers-s16")
    images = list(kit.world.draw(3, 0).images)
    expected = torch.stack([model.encode_image(model.preprocess([i]))[0] for i in images]).mean(0)
    torch.testing.assert_close(mean_representation(model, images), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(KitError, match="there is one; give at least two"):
        mean_representation(model, images[:1])


def test_the_lines_of_each_direction_compute_it():
    model, pictures = kit.load("stickers-s16"), kit.world.draw(3, 0).images
    run = kit.run(model, model.preprocess(pictures[:1]))
    for name in DIRECTIONS:
        values = {"torch": torch, "run": run, "model": model, "images": pictures}
        direction = torch.nn.functional.normalize(eval(LINES[name], values), dim=-1)
        expected = picture_direction(run.representation, name, lambda: mean_representation(model, pictures))
        torch.testing.assert_close(direction, expected)


def test_pictures_are_one_or_several_and_none_is_an_error():
    one = Image.new("RGB", (8, 4))
    assert list(as_pictures(one)) == ["picture 0"]
    assert list(as_pictures(kit.world.draw(2, 0))) == ["scene 0", "scene 1"]
    with pytest.raises(KitError, match="the list is empty"):
        as_pictures([])


def test_a_picture_says_its_name_its_truth_and_its_pixels():
    known = Picture("scene 3", Image.new("RGB", (4, 4)), line="red cat, on grass")
    loaded = Picture("upload 0f", Image.new("RGB", (4, 4), "red"), note="a.png, 4 × 4 pixels")
    assert (known.title, known.told) == ("scene 3: red cat", "Truth: red cat, on grass.")
    assert (loaded.title, loaded.told) == ("upload 0f: a.png", "a.png, 4 × 4 pixels")
    assert known.source.startswith("scene 3, pixels ") and known.source[-12:] != loaded.source[-12:]
