"""`loupe pass`: what is read from the command line, and what is said."""

import io
from dataclasses import replace

import pytest

import kit
from kit.cli import main
from kit.data import passes, read_folder
from kit.data.registry import DataSet, written
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
    assert (
        "store of 3 images" in said
        and f"1 could not be read; it is listed in {out / 'files.csv'}:\n  broken.png: " in said
    )
    store = load_store(stickers, out)
    assert store.files == ["0.png", "1.png", "2.png"] and list(store.damaged) == ["broken.png"]


def write_pictures(stickers, folder, names):
    """Scenes of the gallery under the names that a data set has."""
    for name, picture in zip(names, stickers.viewed(kit.world.gallery().images[: len(names)])):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name)


def test_a_data_set_of_the_paper_becomes_a_store_with_its_labels(stickers, tmp_path, capsys):
    write_pictures(stickers, tmp_path / "set", [f"val/{w}/{w[-1]}.png" for w in ("n02123045", "n01440764")])
    out = tmp_path / "store"
    words = ["pass", "stickers-l8", f"imagenet:{tmp_path / 'set'}", "--keep", "store", "--out", str(out)]
    assert main(words) == 0
    assert "2 images of 2 classes; published are 50,000 of 1,000." in capsys.readouterr().out
    store = load_store(stickers, out)
    assert store.name == "ImageNet val" and store.labels.y.tolist() == [0, 281]
    assert store.labels.class_name.tolist() == ["tench", "tabby cat"]


@pytest.mark.parametrize(
    "ending, groups", [("", ["waterbird on land"]), (":train", ["landbird on water"] * 2)]
)
def test_a_split_is_named_after_the_folder(stickers, tmp_path, capsys, ending, groups):
    names = ["a.Bird/1.png", "a.Bird/2.png", "b.Bird/1.png", "b.Bird/2.png"]
    write_pictures(stickers, tmp_path / "set", names)
    rows = [
        f"1,{name},{y},{split},{1 - y},/l/lake/1.jpg"
        for name, y, split in zip(names, (0, 1, 0, 0), (0, 2, 0, 1))
    ]
    header = "img_id,img_filename,y,split,place,place_filename"
    (tmp_path / "set" / "metadata.csv").write_text("\n".join([header, *rows]))
    words = ["stickers-l8", f"waterbirds:{tmp_path / 'set'}{ending}", "--keep", "store"]
    assert main(["pass", *words, "--out", str(tmp_path / "all")]) == 0
    assert "Not the published set, whose groups are" in capsys.readouterr().out
    assert load_store(stickers, tmp_path / "all").labels.group.tolist() == groups
    assert main(["pass", *words, "--limit", "1", "--out", str(tmp_path / "one")]) == 0
    assert f"1 of these {len(groups)} were taken." in capsys.readouterr().out
    assert load_store(stickers, tmp_path / "one").labels.group.tolist() == groups[:1]


def test_a_set_has_splits_without_an_experiment_of_the_sweep(stickers, tmp_path):
    write_pictures(stickers, tmp_path, ["test/1.png", "test/2.png", "train/1.png"])
    birds = DataSet("FOLDER", "birds", lambda folder, split="test": read_folder(f"{folder}/{split}"))
    birds = replace(birds, splits=("test", "train"))
    assert birds.about == "birds; test (default) or train" and not birds.asked
    read = [birds.read(f"{tmp_path}{split}", limit) for split in ("", ":train") for limit in (None, 1)]
    assert [images.names for images in read] == [["1.png", "2.png"], ["1.png"], ["1.png"], ["1.png"]]
    assert [images.root.name for images in read] == ["test", "test", "train", "train"]


def test_help_lists_every_kind_of_set(capsys):
    with pytest.raises(SystemExit):
        main(["pass", "--help"])
    said = capsys.readouterr().out
    assert not [words for words, about in written().items() if f"  {words:<29}{about}\n" not in said]


@pytest.mark.parametrize(
    "words, says",
    [
        (["stickers-l9", "stickers:4"], "Nearest: stickers-l8"),
        (["stickers-l8", "no/such/folder"], 'there is no folder "no'),
        (["stickers-l8", "imagenet:no/such:val"], 'there is no folder "no'),
        (["stickers-l8", "waterbirds:tests:tset"], 'Waterbirds has no split "tset"'),
        (["stickers-l8", "waterbirds:tests"], 'there is no metadata.csv in "tests"'),
        (["stickers-l8", "stickers:many"], 'stickers:many: "many" is no number of scenes'),
        (["stickers-l8", "stickers:9²"], "is no number of scenes"),
        (["stickers-l8", f"stickers:{'9' * 5000}"], "is no number of scenes"),
        (["stickers-l8", "stickers:4", "--limit", "-1"], "--limit is -1; give a whole number from 1"),
        (["stickers-l8", "stickers:4", "--limit", "0"], "--limit is 0; give a whole number from 1"),
        (["stickers-l8", "stickers:4", "--batch", "0"], "--batch is 0; give a whole number from 1"),
        (["stickers-l8", "stickers:4", "--workers", "-1"], "--workers is -1; give a whole number from 0"),
        (["stickers-l8", "stickers:4", "--name", "a\nb"], "has line ends"),
        (["stickers-l8", "stickers:4", "--out", "README.md"], '"README.md" is there already'),
        (["stickers-l8", "stickers:4", "--out", "README.md/below"], "README.md"),
        (["stickers-l8", "stickers:4", "--out", "x" * 300], "File name too long"),
        (
            ["stickers-l8", "stickers:4", "--out", "tests", "--keep", "store"],
            "is not empty and holds no store",
        ),
        (["stickers-l8", "stickers:4", "--selector", "L9.H0"], "layer 9 does not exist"),
        (["stickers-l8", "stickers:4", "--keep", "means", "--selector", "L5.H0"], "means are kept of every"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(words, says, tmp_path, capsys):
    out = [] if "--out" in words else ["--out", str(tmp_path / "kept")]
    assert main(["pass", *words, *out]) == 2
    assert says in capsys.readouterr().err


def test_what_cannot_be_read_is_named_whatever_its_name(stickers, tmp_path, capsys):
    folder = tmp_path / "caf\udce9\nset"
    folder.mkdir()
    stickers.viewed(kit.world.gallery().images[:1])[0].save(folder / "whole.png")
    for number in range(12):
        (folder / f"{number:02d}\udcff\n.png").write_bytes(b"no picture")
    out = tmp_path / "moments"
    for _ in range(2):  # the second time it is read
        assert main(["pass", "stickers-l8", str(folder), "--out", str(out), "--selector", "L5.H*"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[1:3] == [
            f"moments of 1 images in {out}.", f"12 could not be read; they are listed in {out}.files.csv:",
        ]  # fmt: skip
        assert said[3].startswith(r"  00\udcff\n.png: ") and "is not an image" in said[3]
        assert len(said) == 14 and said[-1] == "  … and 2 more."


def test_a_pass_that_is_stopped_says_that_it_goes_on(stickers, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    words = ["pass", "stickers-l8", "stickers:4", "--out", str(tmp_path / "moments")]
    with monkeypatch.context() as patch:
        patch.setattr(kit.data.Pictures, "read", stop)
        assert main(words) == 130
    assert "Stopped. The same command goes on where it was." in capsys.readouterr().out
    assert main(words) == 0


@pytest.mark.parametrize("command", ["pass", "sweep"])
def test_like_and_key_reach_the_model(command, tmp_path, monkeypatch, capsys):
    """A file of two sets of weights under an architecture whose tags differ: refused without, taken with."""
    import open_clip
    import torch

    from kit import sweep as sweeps
    from tests.unit import tiny_models as tiny

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-16", tiny.config())
    state = tiny.clip().state_dict()
    torch.save({"model": state, "ema": {k: v + 1 for k, v in state.items()}}, tmp_path / "a.pt")
    words = [command, "ViT-B-16", "--pretrained", str(tmp_path / "a.pt"), "--out", str(tmp_path / "kept")]
    words[2:2] = ["stickers:2"] if command == "pass" else []
    seen = []
    done = type("Done", (), {"failed": []})
    monkeypatch.setattr(sweeps, "sweep", lambda model, *_, **__: seen.append(model) or done)
    assert main(words) == 2 and "differ in quick_gelu" in capsys.readouterr().err
    assert main([*words, "--like", "laion2b_s34b_b88k"]) == 2
    assert 'holds 2 sets of weights that fit "ViT-B-16": "model", "ema"' in capsys.readouterr().err
    assert main([*words, "--like", "laion2b_s34b_b88k", "--key", "ema"]) == 0
    assert 'Weights taken from "ema" of a.pt; it also holds "model".' in capsys.readouterr().out
    assert all(torch.equal(model.tower.proj, state["visual.proj"] + 1) for model in seen)


def test_what_is_passed_over_is_said(stickers, tmp_path, capsys):
    write_pictures(stickers, tmp_path / "set", ["0.png", "1.png"])
    (tmp_path / "set" / "phone.HEIC").write_bytes(b"no picture")
    (tmp_path / "set" / "about.txt").touch()
    words = ["pass", "stickers-l8", str(tmp_path / "set"), "--selector", "L5.H*"]
    assert main([*words, "--out", str(tmp_path / "moments")]) == 0
    said = capsys.readouterr().out
    assert "images in a format that is not read (.heic), 1; files that are no image (.txt), 1." in said


def test_each_state_of_a_bar_is_a_line_where_nothing_moves(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(passes.sys, "stderr", screen)
    assert set(passes._lines()) == {"file", "mininterval", "ascii"}
    made = {"total": 3, "desc": "moments", "unit": "img", "disable": False}
    with passes.tqdm(**made | passes._lines() | {"mininterval": 0}) as bar:
        for _ in range(3):
            bar.update()
            bar.refresh()
    lines = screen.getvalue().split("\n")
    assert len(lines) >= 4 and lines.pop() == "" and "\r" not in screen.getvalue()
    assert all(line.startswith("moments:") and line.count("moments:") == 1 for line in lines)
    monkeypatch.setattr(screen, "isatty", lambda: True)
    assert passes._lines() == {}
