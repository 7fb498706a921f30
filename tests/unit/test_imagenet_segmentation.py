"""ImageNet-Segmentation is read from a file of its layout, and what is wrong in one is named."""

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import kit
from kit.data.registry import of_papers, read_set
from kit.maps import segment

SIZES = [(40, 60), (64, 64), (70, 50)]  # height, width


def write(path, change=None, grey=False):
    """A file as MATLAB 7.3 writes cells of matrices: references, column by column."""
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in SIZES]
    masks = [np.zeros(size, dtype=np.uint8) for size in SIZES]
    for mask in masks:
        mask[5:20, 10:30] = 1
    with h5py.File(path, "w") as file:
        held = file.create_group("#refs#")
        cells = {name: file.create_dataset(f"value/{name}", (3, 1), h5py.ref_dtype) for name in ("img", "gt")}
        for i, (picture, mask) in enumerate(zip(pictures, masks)):
            values = picture[..., 0].T if grey and i == 0 else picture.transpose(2, 1, 0)
            cells["img"][i, 0] = held.create_dataset(f"img{i}", data=values).ref
            inner = held.create_dataset(f"cell{i}", (1, 1), h5py.ref_dtype)
            inner[0, 0] = held.create_dataset(f"gt{i}", data=mask.T).ref
            cells["gt"][i, 0] = inner.ref
        if change is not None:
            change(file)
    return pictures, masks


def test_pictures_and_masks_come_back_upright(tmp_path):
    pictures, masks = write(tmp_path / "gtsegs_ijcv.mat", grey=True)
    found = kit.data.read_imagenet_segmentation(tmp_path)
    assert len(found) == 3 and found.names == ["0", "1", "2"] and found.notes == ["3 pictures in the file."]
    for i in range(3):
        assert found[i].size == SIZES[i][::-1] and found[i].mode == "RGB"
        assert np.array_equal(found.mask(i), masks[i] > 0)
    assert np.array_equal(np.asarray(found[1]), pictures[1])
    assert np.array_equal(np.asarray(found[0]), np.repeat(pictures[0][..., :1], 3, -1))
    some = found.take([2, 0])
    assert some.names == ["2", "0"] and some[0].size == (50, 70) and some.digest != found.digest


def test_a_command_names_the_file_and_a_sweep_asks_for_all_of_it(tmp_path):
    write(tmp_path / "gtsegs_ijcv.mat")
    assert read_set(f"segmentation:{tmp_path}", 2).names == ["0", "1"]
    ((name, pictures),) = of_papers("segmentation", tmp_path)
    assert name == "segmentation" and len(pictures) == 3


def test_every_method_goes_over_the_file_and_a_damaged_picture_is_listed(tmp_path, stickers):
    def spoil(file):
        del file["#refs#/gt1"]
        file["#refs#"].create_dataset("gt1", data=np.full((64, 64), 3, dtype=np.uint8))
        file["#refs#/cell1"][0, 0] = file["#refs#/gt1"].ref

    write(tmp_path / "gtsegs_ijcv.mat", spoil)
    pictures = kit.data.read_imagenet_segmentation(tmp_path / "gtsegs_ijcv.mat")
    whole = kit.load(
        "ViT-B-32", "random", config={"vision_cfg": {"image_size": 64, "layers": 1}, "text_cfg": None}
    )
    found = segment(whole, pictures, torch.eye(whole.embed_dim)[:4], batch=2)
    assert list(found.skipped) == [1] and "should be [col, row] of 0 and 1" in found.skipped[1]
    assert all(len(one) == 2 for one in found.results.values()) and len(found.table()) == 9
    squashed = segment(
        whole, pictures, torch.eye(whole.embed_dim)[:4], protocol="released", methods=["rollout"]
    )
    assert not np.array_equal(squashed.results["rollout"].counts, found.results["rollout"].counts)


def moved(key):
    return lambda file: file.move(key, "elsewhere")


def number_cells(file):
    del file["value/gt"]
    file.create_dataset("value/gt", data=np.zeros((3, 1)))


def fewer(file):
    del file["value/gt"]
    file.create_dataset("value/gt", (2, 1), h5py.ref_dtype)


def linked(file):
    del file["value/gt"]
    file["value/gt"] = h5py.ExternalLink("other.h5", "/gt")


def a_group(file):
    del file["value/gt"]
    file.create_group("value/gt")


def endless(file):
    del file["value/gt"], file["value/img"]
    for name in ("img", "gt"):
        file.create_dataset(f"value/{name}", (2**40, 1), h5py.ref_dtype, chunks=(1024, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (linked, '"/value/gt" of "other.mat" is a link to another place'),
        (a_group, 'has no "/value/gt"'),
        (endless, "there should be one for each, and no more than 1,000,000"),
        (moved("value/gt"), 'has no "/value/gt"; it holds'),
        (moved("value/img"), 'has no "/value/img"'),
        (number_cells, r'"/value/gt" of .* should be references, \[image, 1\]; it is \[3, 1\] of float64'),
        (fewer, "has 3 pictures and 2 masks"),
    ],
)
def test_a_file_of_another_layout_is_named(tmp_path, change, message):
    write(tmp_path / "other.mat", change)
    with pytest.raises(kit.KitError, match=message):
        kit.data.read_imagenet_segmentation(tmp_path / "other.mat")


def test_what_is_no_such_file_is_named(tmp_path):
    with pytest.raises(kit.KitError, match="there is no file"):
        kit.data.read_imagenet_segmentation(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(kit.KitError, match="cannot be opened as HDF5"):
        kit.data.read_imagenet_segmentation(tmp_path / "a.png")


def test_a_cell_that_is_no_picture_is_named_and_listed(tmp_path):
    def spoil(file):
        file["value/img"][0, 0] = file["#refs#"].create_dataset("bad", data=np.zeros((2, 5, 5))).ref
        file["value/img"][1, 0] = h5py.Reference()

    write(tmp_path / "gtsegs_ijcv.mat", spoil)
    pictures = kit.data.read_imagenet_segmentation(tmp_path)
    with pytest.raises(
        kit.KitError, match=r"should be \[3, col, row\] of uint8; it is \[2, 5, 5\] of float64"
    ):
        pictures[0]
    with pytest.raises(kit.KitError, match=r'cell 1 of "/value/img" .* leads nowhere'):
        pictures[1]
    assert list(pictures.damaged) == [0, 1]


def test_a_cell_that_leads_out_of_the_file_or_nowhere_is_refused(tmp_path):
    """Numbers of another file, a reference to itself, and more numbers than any picture has."""
    (tmp_path / "secret.txt").write_bytes(b"abc" * 4)

    def spoil(file):
        held = file["#refs#"]
        secret = [(str(tmp_path / "secret.txt"), 0, 12)]
        file["value/img"][0, 0] = held.create_dataset("out", (3, 2, 2), np.uint8, external=secret).ref
        held["cell1"][0, 0] = held["cell1"].ref
        file["value/img"][1, 0] = held["cell1"].ref
        huge = held.create_dataset("huge", (3, 2**20, 2**20), np.uint8, chunks=(3, 64, 64))
        file["value/img"][2, 0] = huge.ref

    write(tmp_path / "gtsegs_ijcv.mat", spoil)
    pictures = kit.data.read_imagenet_segmentation(tmp_path)
    for number, said in enumerate(["keeps its numbers in other files", "leads nowhere", "leads nowhere"]):
        with pytest.raises(kit.KitError, match=said):
            pictures[number]
    assert [found.sha256 for found in map(pictures.read, range(3))] == [bytes(32)] * 3
