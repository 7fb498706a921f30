"""The folder of what is kept between runs: whole files, at most so many bytes, and no error."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from kit import cache, cli
from kit.errors import KitError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of this test's own for what is kept."""
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


NAMES = [f"record-{hashlib.sha256(bytes([n])).hexdigest()}.json" for n in range(5)]


def test_what_was_used_longest_ago_goes_first(folder, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 350)
    for age, name in zip((50, 40, 30), NAMES):
        assert cache.write(name, b"x" * 100)
        os.utime(folder / name, (time.time() - age,) * 2)
    assert cache.read(NAMES[0]) == b"x" * 100  # used now
    cache.write(NAMES[3], b"x" * 100)
    assert {p.name for p in folder.iterdir()} == {NAMES[0], NAMES[2], NAMES[3]}
    assert sum(size for _, size, _ in cache.kept()) <= 350


def test_a_file_that_is_too_large_is_neither_kept_nor_read(folder, monkeypatch):
    cache.write(NAMES[0], b"x" * 100)
    monkeypatch.setattr(cache, "LARGEST", 99)
    assert cache.read(NAMES[0]) is None and not cache.write(NAMES[1], b"x" * 100)


def test_nothing_is_kept_or_read_where_the_variable_is_empty(monkeypatch):
    monkeypatch.setenv("KIT_CACHE", "")
    assert not cache.write(NAMES[0], b"x") and cache.read(NAMES[0]) is None and cache.kept() == []


def test_without_a_home_nothing_is_kept(monkeypatch):
    monkeypatch.delenv("KIT_CACHE")
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/loupe")

    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert cache.folder() is None


def test_the_users_own_folder_is_the_usual_one(monkeypatch, tmp_path):
    monkeypatch.delenv("KIT_CACHE")
    assert cache.folder() == Path(cache.platformdirs.user_cache_dir("loupe", appauthor=False))
    monkeypatch.setenv("KIT_CACHE", "here")
    monkeypatch.chdir(tmp_path)
    assert cache.folder() == tmp_path / "here"


def _write_often(first: int) -> None:
    for turn in range(100):
        assert cache.write(NAMES[0], bytes([65 + (first + turn) % 7]) * 20_000)
        found = cache.read(NAMES[0])
        assert found is None or (len(found) == 20_000 and len(set(found)) == 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_two_processes_write_one_file_and_it_is_always_whole(folder):
    children = []
    for first in range(2):
        if (child := os.fork()) == 0:
            try:
                _write_often(first)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert [p.name for p in folder.iterdir()] == [NAMES[0]]


def test_an_unfinished_file_is_removed_after_an_hour(folder):
    folder.mkdir()
    old, young = (folder / f".loupe-{age}.tmp" for age in ("old", "young"))
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 4000,) * 2)
    cache.write(NAMES[1], b"x")
    assert {p.name for p in folder.iterdir()} == {young.name, NAMES[1]}


def test_the_command_says_what_is_kept_and_removes_it_alone(folder, capsys, monkeypatch):
    assert cli.main(["cache"]) == 0
    assert capsys.readouterr().out.startswith(
        f"0 records of towers, 0.0 MB in {folder} (at most 200 MB are kept"
    )
    for name in NAMES[:2]:
        cache.write(name, b"x" * 600_000)
    others = [folder / name for name in ("thesis.txt", "record-1.json", f"{NAMES[3]}.bak")]
    for other in others:
        other.touch()
    assert cli.main(["cache"]) == 0
    assert capsys.readouterr().out.startswith(f"2 records of towers, 1.2 MB in {folder}")
    assert cli.main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"removed 2 records of towers, 1.2 MB from {folder}\n"
    assert sorted(folder.iterdir()) == sorted(others)
    assert cli.main(["cache", "--clean"]) == 2
    assert capsys.readouterr().err == (
        'loupe: "loupe cache --clean" is not known; there is: loupe cache [--clear].\n'
    )
    monkeypatch.setenv("KIT_CACHE", "")
    assert cli.main(["cache"]) == 0
    assert capsys.readouterr().out.startswith("nothing is kept: KIT_CACHE is empty")


def test_a_file_that_cannot_be_removed_is_named(folder):
    (folder / NAMES[0]).mkdir(parents=True)
    with pytest.raises(
        KitError, match=r'json" cannot be removed \(.*\); remove it by hand, or let KIT_CACHE'
    ):
        cache.clear()
