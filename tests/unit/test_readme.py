"""Every Python line and every `loupe` command of the README runs, on small files under the same names."""

import ast
import re
import shlex
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pandas as pd
import pytest
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

import kit
from kit import cli
from kit.models import load_open_clip
from kit.sweep import command as sweep_command
from tests.unit import tiny_models as tiny
from tests.unit import tiny_transformers as hf

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
INLINE = r"`((?:uv run )?loupe(?: [^`\n]*)?)`|^(?:.* && )?((?:uv run )?loupe(?: .*)?)$"
COMMANDS = list(dict.fromkeys(a or b for a, b in re.findall(INLINE, README, flags=re.MULTILINE)))
ARCHITECTURES = ("ViT-B-32", "ViT-B-16")


def pictures(folder: Path, names: list[str]) -> None:
    random = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / name)


def dino() -> dict:
    """Student and teacher of the size that timm's name says, in half precision."""
    state = timm.create_model("vit_tiny_patch16_224", num_classes=0).half().state_dict()
    return {"student": {k: v + 1 for k, v in state.items()}, "teacher": state}


def transformers_folder(folder: Path) -> None:
    """A classifier with its processor, as save_pretrained writes them."""
    hf.make("ViTForImageClassification", id2label={0: "cat", 1: "dog"}).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size).save_pretrained(folder)


@pytest.fixture
def readers_folder(tmp_path, monkeypatch):
    """A folder with what the README names, architectures of open_clip made small under their own names."""
    monkeypatch.chdir(tmp_path)
    for name in ARCHITECTURES:
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, tiny.config())
    save_file(tiny.clip().state_dict(), _made(tmp_path / "weights") / "my_clip.safetensors")
    tag = str(tmp_path / "weights/my_clip.safetensors")
    monkeypatch.setattr(load_open_clip, "fetch_open_clip", lambda *_: tag)  # as if it were fetched
    tiny.write_folder(tmp_path / "weights/CLIP-tiny")
    torch.save(dino(), tmp_path / "weights/dino.pth")
    transformers_folder(tmp_path / "weights/my-vit")
    snapshot = tmp_path / "hub/models--me--my-vit/snapshots" / ("a" * 40)
    _made(snapshot.parent)
    snapshot.symlink_to(tmp_path / "weights/my-vit")
    _made(tmp_path / "hub/models--me--my-vit/refs").joinpath("main").write_text("a" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    pictures(tmp_path / "pictures", ["cat.jpg", "dog.jpg", *(f"{k}/{n}.png" for k in "ab" for n in range(3))])
    (tmp_path / "texts.txt").write_text("".join(f"a {w} thing\n" for w in ("red", "blue", "green")) * 10)
    (_made(tmp_path / "kit/models") / "shipped").symlink_to(ROOT / "kit/models/shipped")
    birds = tmp_path / "data/waterbird_complete95_forest2water2"
    rows = [(n + 1, f"{n}.Bird/1.jpg", n % 2, 2, n // 2, f"/{n}.jpg") for n in range(4)]
    pictures(birds, [row[1] for row in rows])
    columns = ["img_id", "img_filename", "y", "split", "place", "place_filename"]
    pd.DataFrame(rows, columns=columns).to_csv(birds / "metadata.csv", index=False)
    (tmp_path / "data/waterbirds").symlink_to(birds)
    return tmp_path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_every_python_line_runs_in_order(readers_folder):
    names: dict = {}
    for block in BLOCKS:
        for statement in ast.parse(block).body:
            line = ast.unparse(statement)
            exec(compile(ast.Module([statement], []), line, "exec"), names)
    assert len(BLOCKS) >= 4 and names["parts"].error.max() < 1e-5
    assert names["model"].name == "stickers-l8" and len(names["store"]) == 4
    assert names["live"].library_model is names["module"]
    assert names["live"].preprocess("pictures/cat.jpg").shape == (1, 3, 32, 32)


def test_lines_that_load_take_what_they_say(readers_folder):
    (lines,) = (block for block in BLOCKS if "weights/my_clip.safetensors" in block)
    loaded = [line for line in lines.splitlines() if line.startswith("model = kit.load(")]
    models = [eval(line.partition("= ")[2].partition("  #")[0], {"kit": kit}) for line in loaded]
    kinds = [(model.trained, model.has_text) for model in models]
    assert kinds == [*[(True, True)] * 3, *[(True, False)] * 3, (False, False), (True, True)]
    assert [models[n].class_names for n in (4, 5)] == [["cat", "dog"]] * 2
    assert torch.equal(models[4].encode_image(tiny.pixels()), models[5].encode_image(tiny.pixels()))
    assert 'Weights taken from "teacher"' in models[3].notes[0]
    own = tiny.clip().visual(tiny.pixels())
    assert all(torch.equal(model.encode_image(tiny.pixels()), own) for model in models[:2])


@pytest.mark.parametrize("line", COMMANDS)
def test_every_loupe_command_runs(line, readers_folder, monkeypatch, capsys):
    words = shlex.split(line.removeprefix("uv run "))[1:]
    kind = words[0] if words else "lab"
    if "--help" in words:
        with pytest.raises(SystemExit, match="0"):
            cli.main(words)
    elif kind == "pass":
        assert cli.main(words) == 0 and "store of 8 images in runs/pictures." in capsys.readouterr().out
        assert len(list(readers_folder.glob("runs/pictures/*"))) > 3
    elif kind == "sweep":  # measured in tests/exact/test_sweep.py
        asked = sweep_command.parser().parse_args(words[1:])
        assert open_clip.get_pretrained_cfg(asked.model, asked.pretrained) and asked.out
    elif kind == "cache":
        monkeypatch.setenv("KIT_CACHE", str(readers_folder / "cache"))
        assert cli.main(words) == 0
    else:
        monkeypatch.setattr(cli, "expect_free", lambda port: None)
        assert cli.lab_arguments(words[1:] if words[:1] == ["lab"] else words)


def test_the_commands_of_the_readme_are_found():
    kinds = {(shlex.split(line.removeprefix("uv run "))[1:] or [""])[0] for line in COMMANDS}
    assert {"", "pass", "sweep", "cache", "--port", "--no-browser"} <= kinds
