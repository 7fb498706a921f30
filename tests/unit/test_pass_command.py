"""`loupe pass`: what is read from the command line, and what is said."""

import pytest

import kit
from kit.cli import main
from kit.parts import load_moments, load_store


def test_moments_of_the_world_are_written_and_said(stickers, tmp_path, capsys):
    out = tmp_path / "kept" / "moments"
    assert main(["pass", "stickers-l8", "stickers:10", "--out", str(out), "--selector", "L5.H*"]) == 0
    said = capsys.readouterr().out
    assert "10 images through stickers-l8, 64 at once on cpu: about" in said and "MiB for each batch" in said
    assert f"moments of 10 images in {out}." in said and "could not be read" not in said
    assert load_moments(stickers, out).parts == [f"L5.H{head}" for head in range(6)]


def test_a_folder_with_a_damaged_file_becomes_a_store(stickers, tmp_path, capsys):
    (tmp_path / "set").mkdir()
    pictures = kit.world.gallery().images[:3]
    for number, picture in enumerate(stickers.viewed(pictures)):
        picture.save(tmp_path / "set" / f"{number}.png")
    (tmp_path / "set" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    out = tmp_path / "store"
    assert main(["pass", "stickers-l8", str(tmp_path / "set"), "--keep", "store", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "store of 3 images" in said and "1 could not be read; they are listed beside it." in said
    store = load_store(stickers, out)
    assert store.files == ["0.png", "1.png", "2.png"] and list(store.damaged) == ["broken.png"]


@pytest.mark.parametrize(
    "words, says",
    [
        (["stickers-l9", "stickers:4"], "Nearest: stickers-l8"),
        (["stickers-l8", "no/such/folder"], 'there is no folder "no'),
        (["stickers-l8", "stickers:many"], 'stickers:many: "many" is no number of scenes'),
        (["stickers-l8", "stickers:4", "--selector", "L9.H0"], "layer 9 does not exist"),
        (["stickers-l8", "stickers:4", "--keep", "means", "--selector", "L5.H0"], "means are kept of every"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(words, says, tmp_path, capsys):
    assert main(["pass", *words, "--out", str(tmp_path / "kept")]) == 2
    assert says in capsys.readouterr().err
