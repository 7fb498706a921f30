"""Stores, means and moments whose files were changed: the same numbers, or a sentence that names the file."""

import json
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import kit
from kit.errors import KitError
from kit.models.names import SHIPPED, shipped_names
from kit.parts import load_means, load_store
from kit.parts.headers import read_facts, signed, write_facts
from tests.unit.lost import KEPT, READ, contents, numbers, says, stop_after
from tests.unit.tiny_models import write_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*are left out")


def damages(content: bytes):
    """A file as it may be found: cut, empty, longer, zeros, noise, each of some bytes changed."""
    yield b""
    yield content[: len(content) // 2]
    yield content[:7]
    yield content + b"x"
    yield bytes(len(content))
    yield b"[" * 100_000
    yield b'{"format": "loupe-store-2"}'
    yield b"\x93NUMPY" + b"\xff" * 200
    places = np.random.default_rng(22).integers(0, len(content), 12)
    for place in places:
        yield content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]


@pytest.mark.parametrize("keep", KEPT)
def test_a_damaged_file_is_named_or_makes_no_difference(make, tiny, tmp_path, keep):
    first, out, refused = make(keep), tmp_path / "out", 0
    for name, content in contents(out).items():
        for number, damaged in enumerate([*damages(content), None]):
            (out / name).unlink()
            if damaged is not None:
                (out / name).write_bytes(damaged)
            try:
                found = READ[keep](tiny, out / keep)
                assert numbers(found) == numbers(first), (name, number)
            except KitError as error:
                assert Path(name).name in str(error) or "no store at" in str(error), error
                refused += 1
            finally:
                (out / name).write_bytes(content)
    assert refused > 18 and numbers(READ[keep](tiny, out / keep)) == numbers(first)


ODD = [None, True, 0, -1, 1.5, "x", "../x", [], {}, [[]], [None], {"x": 1}, 10**30]


def test_a_header_that_says_something_else_is_refused(make, tiny, tmp_path):
    """Headers with a right digest, each of whose facts is gone or something else."""
    first, folder = make("store"), tmp_path / "out" / "store"
    before = (folder / "header.json").read_bytes()
    facts = read_facts(folder / "header.json", "store", "a header", "stop")
    for key in facts.keys() - {"format"}:
        others = [{k: v for k, v in facts.items() if k != key}, *({**facts, key: odd} for odd in ODD)]
        for other in others:
            write_facts(folder / "header.json", "store", other)
            try:
                found = load_store(tiny, folder)
                assert numbers(found) == numbers(first) and len(found.labels) == 7, (key, other.get(key))
            except KitError as error:
                assert str(folder) in str(error) or "weights" in str(error), (key, other.get(key))
    (folder / "header.json").write_bytes(before)
    assert numbers(load_store(tiny, folder)) == numbers(first)


def rewritten(path: Path, kind: str, change) -> None:
    """A file of sums whose facts and tensors were changed, with facts that are signed again."""
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()[kind])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    facts.pop("digest", None)
    facts, tensors = change(facts, tensors)
    path.unlink()
    save_file(tensors, path, metadata={kind: signed(kind, facts)})


CHANGES = {
    "a number that is not finite": lambda t: {k: torch.full_like(v, torch.nan) for k, v in t.items()},
    "zeros": lambda t: {k: torch.zeros_like(v) for k, v in t.items()},
    "another type": lambda t: {k: v.to(torch.bfloat16) for k, v in t.items()},
    "whole numbers": lambda t: {k: v.to(torch.int32) for k, v in t.items()},
    "another shape": lambda t: {k: v[:1].clone() for k, v in t.items()},
    "nothing": lambda t: {"x": torch.zeros(1)},
}


@pytest.mark.parametrize("keep", ("moments", "means"))
@pytest.mark.parametrize("what", CHANGES)
def test_tensors_that_were_changed_are_refused(make, tiny, tmp_path, keep, what):
    make(keep)
    path = tmp_path / "out" / keep
    rewritten(path, keep, lambda facts, tensors: (facts, CHANGES[what](tensors)))
    with says(f'"{keep}" is damaged', "collect again"):
        READ[keep](tiny, path)
    with says(f'"{keep}" is damaged', "collect again"):
        make(keep)


FACTS = (
    "name", "model", "weights_hash", "count", "parts", "data", "convention", "preprocessing", "sha256"
)  # fmt: skip


def with_fact(key: str, odd, facts: dict, tensors: dict) -> tuple[dict, dict]:
    """Facts of which one is something else, or gone."""
    rest = {k: v for k, v in facts.items() if k != key}
    return rest if odd == "gone" else rest | {key: odd}, tensors


@pytest.mark.parametrize("keep", ("moments", "means"))
def test_facts_that_say_something_else_are_refused(make, tiny, tmp_path, keep):
    first, path = make(keep), tmp_path / "out" / keep
    before = path.read_bytes()
    for key in FACTS:
        for odd in [*ODD, "gone"]:
            rewritten(path, keep, partial(with_fact, key, odd))
            try:
                assert numbers(READ[keep](tiny, path)) == numbers(first), (key, odd)
            except KitError as error:
                assert keep in str(error), (key, odd, error)
            path.write_bytes(before)


def test_another_model_is_told_by_its_weights_first(make, tmp_path):
    other = kit.load(str(write_folder(tmp_path / "other", seed=2)))
    stickers = kit.load("stickers-s16")
    for keep in KEPT:
        make(keep)
        for model in (other, stickers):
            with says(f"with weights {model.weights_hash[:8]}"):
                READ[keep](model, tmp_path / "out" / keep)


def test_a_store_of_another_version_says_to_make_it_again(make, tiny, tmp_path):
    make("store")
    header = tmp_path / "out" / "store" / "header.json"
    header.write_text(header.read_text().replace("loupe-store-2", "loupe-store-1"))
    for call in (lambda: load_store(tiny, header.parent), lambda: make("store")):
        with says("another version of the kit", "make it again"):
            call()


def test_means_of_the_first_version_are_read_and_looked_at(make, tiny, tmp_path):
    first, path = make("means"), tmp_path / "out" / "means"

    def older(facts, tensors):
        return {k: v for k, v in facts.items() if k not in ("sha256", "batch", "images", "list")}, tensors

    rewritten(path, "means", older)
    content = path.read_bytes()
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["means"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    facts = {k: v for k, v in facts.items() if k != "digest"} | {"format": "loupe-means-1"}
    save_file(tensors, path, metadata={"means": json.dumps(facts)})
    assert numbers(load_means(tiny, path)) == numbers(first)
    save_file({k: v * torch.nan for k, v in tensors.items()}, path, metadata={"means": json.dumps(facts)})
    with says("not finite"):
        load_means(tiny, path)
    save_file(tensors, path, metadata={"means": json.dumps(facts | {"count": 0})})
    with says("its number of images is 0"):
        load_means(tiny, path)
    assert content


def test_shipped_means_have_digests():
    for name in shipped_names():
        path = SHIPPED / name / "means.safetensors"
        if path.exists():
            with safe_open(path, "pt") as file:
                assert '"format": "loupe-means-2"' in file.metadata()["means"], name


def test_rows_that_were_changed_are_written_again_when_the_pass_goes_on(make, tmp_path, monkeypatch):
    plain = make("store", path=tmp_path / "plain")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, 6)
        make("store")
    folder = tmp_path / "out" / "store"
    for name in ("embedding.npy", "heads.npy", "sha256.npy"):
        content = bytearray((folder / name).read_bytes())
        content[130] ^= 1
        (folder / name).write_bytes(content)
    (folder / "others.npy").unlink()
    (folder / "labels.csv").write_text("mine")
    assert numbers(make("store")) == numbers(plain) and contents(folder) == contents(tmp_path / "plain")


def test_the_clock_is_not_asked_twice_for_an_array_that_was_checked(make, tiny, tmp_path, monkeypatch):
    from kit.parts import arrays

    store = make("store")
    for name in store.arrays:
        os.utime(store.folder / f"{name}.npy")
    monkeypatch.setattr(time, "time_ns", lambda real=time.time_ns: real() + 10**10)
    load_store(tiny, store.folder)
    monkeypatch.setattr(arrays, "_blocks", lambda *_: pytest.fail("an array was read again"))
    load_store(tiny, store.folder)
    monkeypatch.undo()
    path = store.folder / "heads.npy"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with says("heads.npy", "is damaged"):
        load_store(tiny, store.folder)
