"""Passes over sets of images: the same whatever interrupts or shares them; stores against the parts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import kit
from kit.data import passes, read_folder
from kit.errors import KitError
from kit.models.memory import pass_memory
from kit.models.nodes import Value
from kit.models.trace import trace_of
from kit.parts import collect, load_moments, load_store, merge_stores
from kit.parts.store_files import write_header
from tests.unit.tiny_models import write_folder

KEPT = ("means", "moments", "store")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:.*are left out")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return kit.load(str(write_folder(tmp_path_factory.mktemp("tiny") / "tiny")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eleven pictures in two sub-folders, and two files that only pretend to be."""
    root, values = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(11):
        place = root / ("cats" if number % 3 else "dogs")
        place.mkdir(exist_ok=True)
        picture = values.integers(0, 256, (40, 30 + number, 3), dtype=np.uint8)
        Image.fromarray(picture).save(place / f"{number:02d}.png")
    (root / "cats" / "04b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (root / "dogs" / "zz.jpg").write_bytes(b"")
    return root


def numbers(kept) -> torch.Tensor:
    """All that was collected, in one row."""
    if hasattr(kept, "covariance"):
        return torch.cat([kept.mean.flatten(), kept.covariance.flatten()])
    if hasattr(kept, "outputs"):
        return torch.cat([kept.parts.flatten(), *(v.flatten() for v in kept.outputs.values())])
    return torch.cat(
        [torch.from_numpy(kept.arrays[k][kept.rows]).double().flatten() for k in sorted(kept.arrays)]
    )


def apart(one, other) -> float:
    one, other = numbers(one).double(), numbers(other).double()
    keep = one.isfinite()
    assert torch.equal(keep, other.isfinite())
    return float((one - other)[keep].norm() / other[keep].norm())


@pytest.fixture(scope="module")
def store(tiny, folder, tmp_path_factory):
    where = tmp_path_factory.mktemp("stores") / "all"
    return collect(tiny, read_folder(folder), "store", "pictures", batch=4, selector="all", path=where)


def test_a_store_holds_the_parts_of_the_images_that_can_be_read(tiny, folder, store):
    images = read_folder(folder)
    pictures = [picture for _, picture in images.readable()]
    parts = kit.decompose(tiny, tiny.preprocess(pictures))
    wanted = parts.values / parts.total.norm(dim=1)[:, None, None]
    assert len(store) == 11 and list(store.index["name"]) == list(parts.index["name"])
    assert (store.vectors() - wanted).norm() < 1e-6 * wanted.norm()
    assert torch.allclose(store.norm, parts.total.norm(dim=1), rtol=1e-6)
    assert store.damaged.keys() == {"cats/04b.png", "dogs/zz.jpg"}
    assert "is not an image" in store.damaged["cats/04b.png"]
    assert store.labels.folder.tolist() == [name.split("/")[0] for name in store.files]


@pytest.mark.parametrize("name", ["stickers-swin", "stickers-maxvit"])
def test_towers_of_any_kind_have_stores_and_moments(load, name):
    model, scenes = load(name), kit.world.draw(5, seed=3)
    parts = kit.decompose(model, model.preprocess(scenes))
    wanted = parts.values / parts.total.norm(dim=1)[:, None, None]
    store = collect(model, scenes, "store", "five scenes", batch=3, selector="all")
    assert list(store.index["name"]) == list(parts.index["name"])
    assert (store.vectors() - wanted).norm() < 1e-6 * wanted.norm()
    moments = collect(model, scenes, "moments", "five scenes", batch=3, selector="all")
    assert (moments.embed_mean() - wanted.double().mean(0)).norm() < 1e-6 * wanted.norm()


def test_scores_of_a_store_sum_to_the_cosines(tiny, store):
    directions = torch.nn.functional.normalize(torch.randn(3, tiny.embed_dim), dim=1)
    assert torch.allclose(store.scores(directions).sum(1), store.cosines(directions), atol=1e-6)
    some = store.scores(directions, images=[8, 2], selector="L1.H0, L0.MLP")
    every = store.scores(directions)
    rows = [list(store.index["name"]).index(n) for n in ("L0.MLP", "L1.H0")]
    assert torch.allclose(some, every[[8, 2]][:, rows], atol=1e-7)


def test_directions_may_differ_from_part_to_part(tiny, store):
    own = torch.randn(len(store.index), 2, tiny.embed_dim)
    wanted = torch.einsum("ipe,pte->ipt", store.vectors(), own)
    assert torch.allclose(store.scores(own), wanted, atol=1e-5)


def test_a_store_ablates_as_ablate_does(tiny, folder, store):
    pictures = [picture for _, picture in read_folder(folder).readable()]
    directions = torch.nn.functional.normalize(torch.randn(3, tiny.embed_dim), dim=1)
    means = kit.collect(tiny, pictures, name="pictures")
    selector = "L1.H*, L0.MLP"
    wanted = kit.ablate(tiny, tiny.preprocess(pictures), selector, means=means)
    length = wanted.before.norm(dim=1, keepdim=True)
    asked = kit.edits.asked(store, directions, np.zeros(len(store)), list("abc"))
    found = asked.after(selector, kit.edits.Means.of(store))
    assert torch.allclose(found, wanted.embedding @ directions.T / length, atol=1e-6)
    zeroed = kit.ablate(tiny, tiny.preprocess(pictures), selector, replace="zero").embedding
    assert torch.allclose(asked.after(selector), zeroed @ directions.T / length, atol=1e-6)
    assert torch.equal(asked.after("none"), store.cosines(directions))


def test_moments_of_a_store_are_those_of_a_pass(tiny, folder, store):
    wanted = collect(tiny, read_folder(folder), "moments", "pictures", batch=4)
    found = store.moments()
    assert apart(found, wanted) < 1e-6 and found.facts == wanted.facts
    one, other = store.moments(range(4)), store.moments(range(4, 11))
    assert apart(one.merge(other), found) < 1e-10
    with pytest.raises(KitError, match="are in both moments"):
        one.merge(one)


def test_stores_merge(tiny, folder, store, tmp_path):
    halves = []
    for place in ("cats", "dogs"):
        images = read_folder(folder / place)
        where = tmp_path / place
        halves.append(collect(tiny, images, "store", place, batch=4, selector="all", path=where))
    both = merge_stores(tiny, halves, tmp_path / "both")
    order = np.argsort([name.split("/")[0] == "dogs" for name in store.files], kind="stable")
    assert len(both) == 11 and torch.allclose(both.vectors(), store.vectors(order), atol=1e-6)
    with pytest.raises(KitError, match="in two of the stores"):
        merge_stores(tiny, [halves[0], halves[0]], tmp_path / "twice")
    with pytest.raises(KitError, match="is there already"):
        merge_stores(tiny, halves, tmp_path / "both")


def test_means_do_not_depend_on_the_batch(tiny, folder):
    one, many = (collect(tiny, read_folder(folder), name="pictures", batch=size) for size in (4, 64))
    assert one.count == many.count == 11 and apart(one, many) < 1e-6


@pytest.mark.parametrize("keep", KEPT)
def test_a_pass_that_stopped_goes_on(tiny, folder, tmp_path, monkeypatch, keep):
    """Three calls that come as far as one batch each, and one that does what is left."""
    plain = collect(tiny, read_folder(folder), keep, "pictures", batch=3, path=tmp_path / "plain")
    calls = []

    def faulty(images: object, number: int) -> object:
        calls.append(number)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return read(images, number)

    read = kit.data.ImageFolder.read
    monkeypatch.setattr(kit.data.ImageFolder, "read", faulty)
    for _ in range(3):
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            collect(tiny, read_folder(folder), keep, "pictures", batch=3, path=tmp_path / "some")
    calls.clear()
    found = collect(tiny, read_folder(folder), keep, "pictures", batch=3, path=tmp_path / "some")
    assert len(calls) == 4, "the last two batches were left"
    assert apart(found, plain) < 1e-10
    assert not list(tmp_path.rglob("*.part-*")) and not list(tmp_path.rglob("*.tmp"))
    calls.clear()
    again = collect(tiny, read_folder(folder), keep, "pictures", batch=3, path=tmp_path / "some")
    assert not calls and apart(again, found) == 0


@pytest.mark.parametrize("keep", KEPT)
def test_a_path_of_another_pass_is_refused(tiny, folder, tmp_path, keep):
    path = tmp_path / "kept"
    collect(tiny, read_folder(folder), keep, "pictures", path=path)
    with pytest.raises(KitError, match=r"where data is .* but now it is"):
        collect(tiny, read_folder(folder, limit=5), keep, "pictures", path=path)
    other = kit.load(str(write_folder(tmp_path / "other", seed=2)))
    with pytest.raises(KitError, match=r"where (model|weights hash) is"):
        collect(other, read_folder(folder), keep, "pictures", path=path)


@pytest.mark.parametrize("keep", KEPT)
def test_files_that_cannot_be_read_are_listed(tiny, folder, tmp_path, keep):
    path = tmp_path / "kept"
    kept = collect(tiny, read_folder(folder), keep, "pictures", path=path)
    assert (len(kept) if keep == "store" else kept.count) == 11
    listed = path / "files.csv" if keep == "store" else tmp_path / "kept.files.csv"
    lines = listed.read_text().splitlines()
    assert len(lines) == 14 and sum(line.endswith(',""') for line in lines) == 11


def test_a_set_without_a_readable_image_is_an_error(tiny, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"no image")
    for keep in KEPT:
        with pytest.raises(KitError, match=r'none of the 1 images could be read.*"a\.png" is not an image'):
            collect(tiny, read_folder(tmp_path / "set"), keep, "pictures", path=tmp_path / keep)


def test_a_store_in_the_making_and_no_store_are_told_apart(tiny, tmp_path):
    with pytest.raises(KitError, match="no store at"):
        load_store(tiny, tmp_path)
    write_header(tmp_path, {"complete": False})
    with pytest.raises(KitError, match="has not ended"):
        load_store(tiny, tmp_path)
    (tmp_path / "header.json").write_text(json.dumps({"format": "loupe-store-1", "complete": True}))
    with pytest.raises(KitError, match=r"another version of the kit.*keeps digests; make it again"):
        load_store(tiny, tmp_path)
    (tmp_path / "header.json").write_text("{")
    with pytest.raises(KitError, match="is not the header of a store"):
        load_store(tiny, tmp_path)


def test_a_batch_that_does_not_fit_is_refused(tiny, folder, monkeypatch):
    monkeypatch.setattr("kit.models.memory.free_memory", lambda: 2**20)
    with pytest.raises(KitError, match=r"need about .* GiB, but 0\.0 GiB are free; pass batch=\d+ or less"):
        collect(tiny, read_folder(folder), "moments", "pictures", batch=4096)


def test_the_estimate_of_memory_counts_what_is_alive(tiny):
    nodes = trace_of(tiny).module.graph.nodes
    values = [n.meta["val"] for n in nodes if isinstance(n.meta["val"], Value)]
    sizes = [4 * torch.Size(value.shape).numel() for value in values]
    found = pass_memory(tiny, 3)  # three images are what was recorded
    assert max(sizes) <= found < 0.5 * sum(sizes) and pass_memory(tiny, 6) == 2 * found


def test_a_disk_that_is_too_small_is_refused(tiny, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100}))
    with pytest.raises(KitError, match=r"store of 13 images takes .* are free at"):
        collect(tiny, read_folder(folder), "store", "pictures", path=tmp_path / "store")


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    """Twenty of each, in children of one process that has imported: see `tests.exact.forks`."""
    command = [sys.executable, "-m", "tests.exact.forks", str(tmp_path_factory.mktemp("forks")), "20"]
    alone = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=alone, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_kill_at_any_moment_loses_nothing(forks):
    assert len(forks["kills"]) == 20
    for each in forks["kills"]:
        assert each["killed"][0] == -9 and each["last"][0] == 0 and each["same"], each


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_of_two_passes_into_one_place_one_is_refused(forks):
    refused = 0
    for each in forks["doubles"]:
        ends = each["first"], each["second"]
        assert 0 in (ends[0][0], ends[1][0]) and each["again"][0] == 0 and each["same"], each
        for status, said in ends:
            assert status == 0 or (status == 3 and "is being written by another pass: process" in said), each
        assert each["second"][0] == 0 or each["named"], "the sentence names the process that holds the place"
        refused += 3 in (ends[0][0], ends[1][0])
    assert refused > 10, "the first one stood still while it held the place"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_changed_byte_is_refused_or_changes_nothing(forks):
    for each in forks["flips"]:
        assert each["same"] or each["said"].endswith("."), each
    assert sum(not each["same"] for each in forks["flips"]) > 10


def test_two_processes_agree_with_one(stickers, tmp_path):
    out = tmp_path / "shared"
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2 -m kit.cli"
    asked = f"pass stickers-l8 stickers:40 --batch 8 --keep moments --out {out}"
    subprocess.run([sys.executable, *f"{torchrun} {asked}".split()], check=True, capture_output=True)
    scenes = kit.world.draw(40, seed=1, kind="mixed")
    plain = collect(stickers, scenes, "moments", "stickers:40", batch=8)
    found = load_moments(stickers, out)
    assert found.count == 40 and apart(found, plain) < 1e-10 and found.data == plain.data


def test_processes_take_whole_batches(tiny, folder, monkeypatch):
    seen = {}
    for rank in (0, 1):
        monkeypatch.setattr(passes, "place", lambda rank=rank: (rank, 2))
        passes.go_over(tiny, read_folder(folder), 4, Rows(seen.setdefault(rank, [])), "test")
    assert seen == {0: [[0, 1, 2], [8, 9, 10, 11]], 1: [[4, 5, 6, 7]]}  # 3 and 12 cannot be read


def test_a_pass_goes_over_what_no_process_has_done(tiny, folder):
    """One process goes on with a pass of two: batch 1 is its own, batch 0 was the other's."""
    seen, own, everybody = [], passes.Progress({1: {}}), passes.Progress({0: {}, 1: {}})
    passes.go_over(tiny, read_folder(folder), 4, Rows(seen, own, everybody), "test")
    assert seen == [[8, 9, 10, 11]] and set(own.done) == {1, 2, 3}  # 12 cannot be read


class Rows:
    """A keeper that keeps the numbers of the images, and may have some batches already."""

    def __init__(self, seen: list, own=None, everybody=None):
        self.seen, self.own, self.everybody = seen, own or passes.Progress(), everybody or passes.Progress()

    def prepare(self):
        pass

    def open(self, rank):
        return self.own, self.everybody

    def begin(self):
        pass

    def add(self, batch):
        self.seen.extend([[batch.rows[place] for place in batch.good]] if batch.good else [])
        return {}

    def save(self, progress):
        pass

    def finish(self):
        pass
