"""Every line of docs/your_own.md runs, in its order, on small files under the names that it has."""

import ast
import re
import shlex
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

import kit
from kit import cli
from tests.unit import tiny_models as tiny
from tests.unit import tiny_transformers
from tests.unit.test_readme import pictures, readers_folder  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your_own.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^```\n(loupe .*?)\n```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(readers_folder, monkeypatch):  # noqa: F811
    """What the page names: three models, ten pictures in two folders."""
    settings = tiny.config()
    settings["text_cfg"]["context_length"] = 20
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", settings)
    save_file(tiny.clip(settings).state_dict(), readers_folder / "weights/my_clip.safetensors")
    tiny_transformers.make("ViTModel").save_pretrained(readers_folder / "weights/vit")
    torch.save(
        timm.create_model("vit_tiny_patch16_224").half().state_dict(), readers_folder / "weights/vit_tiny.pth"
    )
    for name in ("cat.jpg", "dog.jpg"):
        (readers_folder / "pictures" / name).unlink()
    pictures(readers_folder / "pictures", [f"{kind}/{number}.png" for kind in "ab" for number in range(3, 5)])
    return readers_folder


def test_every_python_line_runs_in_order(folder):
    names, values = {}, []
    for block in BLOCKS:
        for statement in ast.parse(block).body:
            if isinstance(statement, ast.Expr):
                values.append(eval(compile(ast.Expression(statement.value), "page", "eval"), names))
            else:
                exec(compile(ast.Module([statement], []), ast.unparse(statement), "exec"), names)
    model, store = names["model"], names["store"]
    assert len(BLOCKS) >= 8 and model.name == "ViT-B-32" and "random" not in model.label
    assert len(names["images"]) == len(store) == 10 and set(store.labels["folder"]) == {"a", "b"}
    assert names["means"].count == names["moments"].count == names["paper"].count == 10
    assert (folder / "runs/panel.png").read_bytes().startswith(b"\x89PNG")
    assert "whole" in (folder / "runs/panel.csv").read_text(encoding="utf-8")
    assert names["bank"].name == "photographs, centred" and set(names["spans"].table["rank"]) <= {
        *range(1, 6)
    }
    shapes = [value for value in values if isinstance(value, torch.Size)]
    assert len(shapes) == 3 and all(s[0] == 1 and s[2] == 2 for s in shapes)
    assert names["parts"].error.max() < 1e-5
    assert names["tower"].base is names["seen"] and names["tower"].clip is names["clip"]
    assert names["panel"].model is names["tower"] and "‘a cat’" in names["panel"].caption


def test_the_first_lines_load_what_they_say(folder):
    lines = [line for line in BLOCKS[0].splitlines() if line.startswith("model = kit.load(")]
    models = [eval(line.partition("= ")[2].partition("  #")[0], {"kit": kit}) for line in lines]
    assert [model.source for model in models] == ["transformers", "timm", "open_clip"]
    assert all(model.trained for model in models) and [m.has_text for m in models] == [False, False, True]
    assert all(kit.check(model).verdict == "exact" for model in models)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_page_run(line, folder, capsys):
    assert cli.main(shlex.split(line)[1:]) == 0
    assert "store of 10 images in runs/shell." in capsys.readouterr().out


def test_what_the_page_names_is_there():
    assert COMMANDS
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert len(links) >= 2 and not [link for link in links if not (ROOT / "docs" / link).exists()]
    assert "(docs/your_own.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
