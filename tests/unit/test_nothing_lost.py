"""What lies there, texts, pictures that change, two passes at once: right or refused, nothing lost."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import kit
from kit.data import Pictures, locks, passes, read_folder
from kit.errors import KitError
from kit.parts import collect, load_store, merge_stores
from kit.parts.collect import passing_folder
from kit.parts.files import check_same
from kit.writing import clear_unfinished, write_file
from tests.unit.lost import BATCH, KEPT, READ, contents, numbers, picture, says, stop_after

pytestmark = pytest.mark.filterwarnings("ignore:.*are left out")


# --- places that are not ours


def users_file(name: str, content: bytes = b"name,y\ncat,1\n"):
    def put(out: Path) -> None:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)

    return put


def users_weights(out: Path) -> None:
    save_file({"head": torch.ones(2, 2)}, out)


LONG = "x" * 300
PLACES = [  # what is kept, what lies there before, what the sentence says
    *(
        (
            "store",
            users_file(f"store/{name}"),
            ("is not empty and holds no store", name.split("/")[0], "name a new folder"),
        )
        for name in ("labels.csv", "files.csv", "heads.npy", ".hidden", "deep/er.txt", "pass.part-0")
    ),
    (
        "store",
        users_file("store/header.json", b'{"rows": 3}'),
        ("is not the header of a store", "another folder"),
    ),
    ("store", users_file("store/header.json", b""), ("is not the header of a store", "another folder")),
    ("store", users_file("store/pass.lock"), ("is not a lock of a pass", "name another place")),
    ("store", users_file("store"), ("no store can be made at", "Not a directory", "name a new folder")),
    *(
        (keep, users_file(keep), ("is there already and is not a file of", keep, "name another path"))
        for keep in ("moments", "means")
    ),
    (
        "moments",
        lambda out: users_weights(out / "moments"),
        ("is not a file of moments", "name another path"),
    ),
    ("means", users_file("means/mine.txt"), ("is a folder", "name a file")),
    ("moments", users_file("moments.files.csv"), ("is not a list of ours", "name another path")),
    ("means", users_file("means.part-0"), ("means.part-0", "is not a file of means")),
    ("moments", users_file("moments.lock"), ("is not a lock of a pass", "name another place")),
]


@pytest.mark.parametrize("keep, before, said", PLACES)
def test_what_lies_there_and_is_not_ours_is_refused_and_kept(make, tmp_path, keep, before, said):
    out = tmp_path / "out"
    out.mkdir()
    before(out)
    held = contents(out)
    with says(*said):
        make(keep)
    assert contents(out) == held


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize(
    "where, said",
    [
        (f"{LONG}/kept", "name too long"),
        (LONG, "name too long"),
        ("file.txt/below/kept", "file.txt"),
        ("nul\0/kept", "names no file or folder that can be made"),
        ("/proc/kept", "name another place"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(make, tmp_path, keep, where, said):
    (tmp_path / "file.txt").write_text("mine")
    with says(said.replace("name too long", "File name too long")):
        make(keep, path=tmp_path / where)
    assert (tmp_path / "file.txt").read_text() == "mine"


@pytest.mark.parametrize("keep", KEPT)
def test_a_disk_that_may_only_be_read_is_refused(make, monkeypatch, keep):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with says("cannot be made (Read-only file system)", "name another place"):
        make(keep)


@pytest.mark.parametrize("keep", ("moments", "means"))
def test_saving_over_something_else_is_refused(make, tmp_path, keep):
    kept, other = make(keep), make("means" if keep == "moments" else "moments")
    users_weights(tmp_path / "weights.safetensors")
    other.save(tmp_path / "other")
    for name in ("weights.safetensors", "other"):
        before = (tmp_path / name).read_bytes()
        with says("is there already and is not a file of"):
            kept.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    kept.save(tmp_path / "own")
    kept.save(tmp_path / "own")


def test_a_full_disk_is_said_and_the_pass_goes_on(make, monkeypatch):
    write, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 6:
            raise OSError(28, "No space left on device")
        write(descriptor)

    monkeypatch.setattr(passes, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(os, "fsync", full)
    for keep in KEPT:
        calls.clear()
        with says("the disk is full", "make the same call again"):
            make(keep)
    monkeypatch.setattr(os, "fsync", write)
    for keep in KEPT:
        again = make(keep)
        assert numbers(again) == numbers(make(keep, path=f"{again.folder}2" if keep == "store" else None))


# --- text stays text

TEXTS = [
    "001", "01", "1", "1e5", "inf", "nan", "True", "NA", "None", "null", "-0", "0x1", "1_000", " ",
    "a,b", 'q"x"', "cr\rx", "lf\nx", "crlf\r\n", "=1+1", "\\N", "\\", "é", "caf\udce9", "\t", "'", '"',
]  # fmt: skip


def test_names_and_classes_come_back_as_they_were(tiny, tmp_path):
    root = tmp_path / "set"
    for number, text in enumerate(TEXTS):
        place = os.fsencode(root) + b"/" + os.fsencode(text)
        os.makedirs(place)
        picture(number).save(tmp_path / "one.bmp")
        shutil.copy(tmp_path / "one.bmp", place + b"/" + os.fsencode(text) + b".bmp")
    images = read_folder(root)
    assert sorted(images.labels.folder) == sorted(TEXTS) and len(images.digest) == 64
    for keep in KEPT:
        kept = collect(tiny, images, keep, "odd names", batch=5, path=tmp_path / keep)
        again = collect(tiny, read_folder(root), keep, "odd names", batch=5, path=tmp_path / keep)
        assert numbers(again) == numbers(kept)
    store = load_store(tiny, tmp_path / "store")
    assert store.files == images.names and store.labels.folder.tolist() == images.labels.folder.tolist()


def test_every_kind_of_column_comes_back(tiny, tmp_path):
    count = len(TEXTS) + 2
    labels = pd.DataFrame(
        {
            "text": pd.Series([*TEXTS, "", None], dtype=object),
            "digits": [f"{n:03d}" for n in range(count)],
            "whole": np.arange(count, dtype=np.int64) * 2**40,
            "small": np.arange(count, dtype=np.int8),
            "number": [float("inf"), float("nan"), -0.0, 1 / 3, *[0.1] * (count - 4)],
            "half": np.linspace(0, 1, count, dtype=np.float32),
            "truth": [n % 2 == 0 for n in range(count)],
            "some": pd.array([None, *range(count - 1)], dtype="Int64"),
            "perhaps": pd.array([None, *[True] * (count - 1)], dtype="boolean"),
        }
    )
    images = Pictures(torch.randint(0, 256, (count, 3, 16, 16)).byte(), labels)
    collect(tiny, images, "store", "columns", path=tmp_path / "store")
    store = load_store(tiny, tmp_path / "store")
    assert store.files == [str(n) for n in range(count)]
    pd.testing.assert_frame_equal(store.labels.drop(columns="text"), labels.drop(columns="text"))
    assert store.labels.text.tolist()[:-1] == [*TEXTS, ""] and pd.isna(store.labels.text.iloc[-1])
    reordered = Pictures(images.images, labels.iloc[::-1].reset_index(drop=True))
    with says('where labels is "', "but now it is"):
        collect(tiny, reordered, "store", "columns", path=tmp_path / "store")
    for odd in ({"a": [[1]] * count}, {"a": [1, *"x" * (count - 1)]}, {0: range(count)}):
        with says("labels", "give"):
            collect(tiny, Pictures(images.images, pd.DataFrame(odd)), "store", "x", path=tmp_path / "odd")


# --- pictures that were replaced


def swap(pictures: Path, number: int = 2) -> Path:
    """Another picture under the name and size of one; times are put back too."""
    path = pictures / read_folder(pictures).names[number]
    before = path.stat()
    picture(99).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    return path


@pytest.mark.parametrize("keep", KEPT)
def test_a_pass_that_goes_on_mixes_no_old_and_new_pictures(make, pictures, tmp_path, monkeypatch, keep):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, 6)
        make(keep)
    swap(pictures)
    found = make(keep)
    assert numbers(found) == numbers(make(keep, path=tmp_path / "plain"))


@pytest.mark.parametrize("keep", KEPT)
def test_what_was_kept_of_a_replaced_picture_is_refused(make, tiny, pictures, tmp_path, keep):
    first = make(keep)
    path = pictures / read_folder(pictures).names[2]
    old = path.read_bytes()
    swap(pictures)
    with says("replaced since" if keep != "store" else "holds another picture", "delete the"):
        make(keep)
    if keep == "store":
        with says(path.name, "changed since the store", "sha256 differs"):
            load_store(tiny, tmp_path / "out" / "store")
    path.write_bytes(old)  # another time of change, the same picture
    assert numbers(make(keep)) == numbers(first)
    shutil.rmtree(pictures)  # what was kept is true without them
    READ[keep](tiny, tmp_path / "out" / keep)


def test_a_picture_that_was_not_touched_is_not_read_again(make, pictures, monkeypatch):
    for keep in KEPT:
        make(keep)
    monkeypatch.setattr("kit.data.sets.file_sha256", lambda _: pytest.fail("a picture was read"))
    monkeypatch.setattr("kit.parts.store_files.file_sha256", lambda _: pytest.fail("a picture was read"))
    for keep in KEPT:
        make(keep)


def test_a_picture_that_became_readable_is_run_when_the_pass_goes_on(make, pictures, tmp_path, monkeypatch):
    path = pictures / read_folder(pictures).names[1]
    whole = path.read_bytes()
    path.write_bytes(b"X" + whole[1:])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, 6)
        make("store")
    path.write_bytes(whole)
    store = make("store")
    assert len(store) == 7 and not store.damaged
    assert numbers(store) == numbers(make("store", path=tmp_path / "plain"))


def test_merged_stores_know_their_pictures(make, tiny, pictures, tmp_path):
    halves = [
        collect(tiny, read_folder(pictures / place), "store", place, BATCH, path=tmp_path / place)
        for place in ("001", "1")
    ]
    both = merge_stores(tiny, halves, tmp_path / "both")
    for key, array in both.arrays.items():
        assert np.array_equal(array, np.concatenate([half.arrays[key] for half in halves])), key
    assert both.labels.empty and both.files == [name for half in halves for name in half.files]
    swap(pictures, 5)
    with says("changed since the store"):
        load_store(tiny, tmp_path / "both")
    with says("no store was given"):
        merge_stores(tiny, [], tmp_path / "none")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["001", "1", "both", "pictures"]


# --- one pass at a time


@pytest.mark.parametrize("keep", KEPT)
def test_a_second_pass_into_the_same_place_is_refused(make, tmp_path, monkeypatch, keep):
    real, found = kit.data.ImageFolder.read, []

    def read(images, number):
        if number == 4 and not found:
            found.append("")
            with pytest.raises(KitError) as caught:
                make(keep)
            found[0] = str(caught.value)
        return real(images, number)

    monkeypatch.setattr(kit.data.ImageFolder, "read", read)
    make(keep)
    assert f"being written by another pass: process {os.getpid()} on" in found[0] and "since" in found[0]
    assert "delete" in found[0] and not [n for n in contents(tmp_path / "out") if "lock" in n or "part" in n]


def test_a_lock_is_gone_with_its_process_and_is_told_from_other_files(tmp_path):
    path = tmp_path / "a.lock"
    path.write_bytes(locks.BEGIN + b': {"process": 1, "host": "gone", "since": "ever"}}')
    lock = locks.Lock(path, "it")
    assert b'"gone"' not in path.read_bytes() and locks.is_held(path)
    with says("it is being written by another pass: process", "Wait for it"):
        locks.Lock(path, "it")
    lock.release()
    assert not path.exists()
    for others in (b"mine", b'{"packages": []}', b'{"loupe": 1}', locks.BEGIN[:-1] + b"es"):
        (tmp_path / "b.lock").write_bytes(others)
        with says("is not a lock of a pass"):
            locks.Lock(tmp_path / "b.lock", "it")
        assert (tmp_path / "b.lock").read_bytes() == others


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def none(_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks, "_lock", none)
    with says("gives no locks", "another disk"):
        locks.Lock(tmp_path / "a.lock", "it")


def test_what_lacks_rows_never_becomes_complete(make, tmp_path, monkeypatch):
    """A process whose state was lost: the others' rows alone do not make a store."""
    from kit.parts import one_pass

    for keep in ("store", "moments"):
        with monkeypatch.context() as patch:
            patch.setattr(one_pass, "state_files", lambda path: [])
            with says("3 batches of the pass into", "make the same call again"):
                make(keep)
        assert numbers(make(keep)) == numbers(make(keep, path=tmp_path / f"plain {keep}"))


# --- what is asked


@pytest.mark.parametrize(
    "options, said",
    [
        ({"batch": 0}, "batch is 0; give a whole number from 1"),
        ({"batch": 2.5}, "batch is 2.5"),
        ({"batch": True}, "batch is True"),
        ({"workers": -1}, "workers is -1; give a whole number from 0"),
        ({"workers": "two"}, "workers is 'two'"),
        ({"name": "a\nimport os"}, "has line ends"),
        ({"name": "a\u2028b"}, "has line ends"),
        ({"name": "x" * 300}, "more than 200 letters"),
        ({"name": ""}, "needs a name"),
        ({"name": " "}, "needs a name"),
        ({"name": 5}, "needs a name"),
        ({"path": ""}, None),
        ({"path": "/"}, "names no file or folder"),
    ],
)
def test_what_makes_no_sense_is_said(make, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    for keep in KEPT:
        with says(*([] if said is None else [said])):
            make(keep, **options)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3", True])
def test_a_limit_is_a_number_of_images(pictures, limit):
    with says("limit is", "give a whole number from 1"):
        read_folder(pictures, limit)


def test_passes_that_are_shared_name_a_place(make, monkeypatch):
    monkeypatch.setattr(sys.modules["kit.parts.collect"], "place", lambda: (1, 2))
    for keep in KEPT:
        with says("must agree on a place"):
            make(keep, path=None)


@pytest.mark.parametrize(
    "variables", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "x"}, {"WORLD_SIZE": "2", "RANK": "0"}]
)
def test_half_of_what_torchrun_sets_is_said(variables, monkeypatch):
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    with says("WORLD_SIZE is", "start them with torchrun"):
        passes.place()


def test_folders_of_stores_without_a_path_are_removed(tmp_path, monkeypatch):
    module = sys.modules["kit.parts.collect"]
    monkeypatch.setattr(module, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(module, "mkdtemp", lambda prefix: str(tmp_path / f"{prefix}new"))
    removed = []
    monkeypatch.setattr("atexit.register", removed.append)
    for name in ("loupe-passing-old", "loupe-passing-held", "loupe-passing-mine", "loupe-passing-new"):
        (tmp_path / name).mkdir()
    (tmp_path / "loupe-passing-old" / "owner.lock").write_bytes(locks.BEGIN)
    held = locks.Lock(tmp_path / "loupe-passing-held" / "owner.lock", "it")
    monkeypatch.setattr(module, "_age", lambda _: 100)
    assert passing_folder() == tmp_path / "loupe-passing-new" / "store"
    names = [f"loupe-passing-{name}" for name in ("held", "mine", "new")]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    removed[0]()
    held.release()
    assert sorted(p.name for p in tmp_path.iterdir()) == names[:2]


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_file(path, "old\r\nline\n")
    assert path.read_bytes() == b"old\r\nline\n"
    order = []
    monkeypatch.setattr(os, "fsync", lambda _, real=os.fsync: (order.append("sync"), real(_)))
    monkeypatch.setattr(os, "replace", lambda a, b, real=os.replace: (order.append("name"), real(a, b)))
    write_file(path, b"new")
    assert order == ["sync", "name", "sync"] and path.read_bytes() == b"new"

    def broken(file):
        file.write(b"half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        write_file(path, broken)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_bytes() == b"new"
    for odd, said in (
        (tmp_path, "cannot be written"),
        (tmp_path / "no" / "a", "No such file"),
        ("/", "names no"),
    ):
        with says(said):
            write_file(odd, "x")


def test_clearing_up_takes_what_was_left_of_one_file_alone(tmp_path):
    def half(file):
        unfinished.append(next(p for p in tmp_path.iterdir() if p not in unfinished))
        (tmp_path / f"{unfinished[-1].name[:-4]}0.tmp").write_bytes(b"of a killed process")
        raise KeyboardInterrupt

    unfinished: list[Path] = []
    for name in ("mine", "yours"):
        with pytest.raises(KeyboardInterrupt):
            write_file(tmp_path / name, half)
        unfinished += tmp_path.iterdir()
    assert len(list(tmp_path.iterdir())) == 2
    clear_unfinished(tmp_path / "mine")
    (left,) = tmp_path.iterdir()
    clear_unfinished(tmp_path / "mine")
    assert left.exists()
    clear_unfinished(tmp_path / "yours")
    assert not left.exists()


def test_a_fact_that_is_missing_is_another_one():
    check_same("sums", "a", {"images": 3}, {"images": 3})
    for found in ({}, {"images": None}, {"images": 4}):
        with says("holds sums where images is", 'but now it is "3"'):
            check_same("sums", "a", found, {"images": 3})


@pytest.mark.parametrize("keep", ["moments", "means"])
def test_sums_that_go_on_with_other_batches_are_refused(make, monkeypatch, keep):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, 6)
        make(keep)
    with says("where batch is", f'but now it is "{BATCH + 1}"'):
        make(keep, batch=BATCH + 1)
    make(keep)


def test_no_file_of_the_kit_is_written_otherwise():
    """Every place that writes goes by `write_file`, but for arrays, locks and a log that grows."""
    others = {"data/locks.py", "parts/arrays.py", "writing.py", "workshop/training/train.py"}
    root = Path(kit.__file__).parent
    for path in root.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        words = (
            "os.replace(",
            ".write_text(",
            ".write_bytes(",
            "save_file(",
            '.open("w',
            '.open("a',
            "to_csv(path",
        )
        found = [word for word in words if word in source.replace(">>> ", "")]
        assert not found or path.relative_to(root).as_posix() in others, (path, found)
