"""The pins agree with each other, the settings ship, and the `loupe` command opens what it should."""

import json
import os
import re
import socket
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from kit import cli
from kit.errors import KitError
from kit.projections.photographs import LISTS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def constraints() -> list[str]:
    return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def direct() -> list[str]:
    groups = [*PROJECT["dependency-groups"].values(), *PROJECT["project"]["optional-dependencies"].values()]
    return PROJECT["project"]["dependencies"] + [entry for group in groups for entry in group]


def normal(requirement: str) -> str:
    return requirement.replace("_", "-").split(" ;")[0].lower()


def test_constraints_equal_the_list_in_pyproject():
    assert constraints() == PROJECT["tool"]["uv"]["constraint-dependencies"]


def test_every_direct_dependency_is_pinned_and_among_the_constraints():
    pins = {normal(line) for line in constraints()}
    assert all("==" in entry for entry in direct() + PROJECT["build-system"]["requires"])
    assert not [entry for entry in direct() if normal(entry) not in pins]


def test_constraints_name_no_host_and_no_hash():
    assert not [line for line in constraints() if "://" in line or "--" in line or line.startswith("#")]


def test_conda_takes_everything_from_the_same_pins():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    entries = [line.strip() for line in text.splitlines() if line.strip().startswith("- ")]
    assert entries == ["- conda-forge", "- python=3.11", "- pip", "- pip:", "- -c constraints.txt", "- -e ."]


def test_settings_of_jupyterlab_are_installed():
    import jupyterlab.commands

    target = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]["kit/lab/overrides.json"]
    shipped = json.loads((ROOT / "kit/lab/overrides.json").read_text(encoding="utf-8"))
    assert (
        shipped["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    )  # a string, not a bool
    installed = Path(jupyterlab.commands.get_app_dir()) / Path(target).relative_to("share/jupyter/lab")
    assert json.loads(installed.read_text(encoding="utf-8")) == shipped


def test_data_that_the_kit_reads_is_in_its_wheel():
    """hatch takes every file of the package that git does not ignore, unless the project says otherwise."""
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["kit"] and set(wheel) == {"packages", "shared-data"}
    assert set(PROJECT["tool"]["hatch"]["build"]) == {"targets"}
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert LISTS.is_relative_to(ROOT / "kit") and LISTS.is_file()
    for file in (LISTS, ROOT / "kit/panels/panel.css"):
        parts = file.relative_to(ROOT).parts
        wrong = [
            p for p in ignored for part in parts if not p.startswith("/") and fnmatch(part, p.strip("/"))
        ]
        assert not wrong and f"/{parts[0]}/" not in ignored, f"{file.name} would not be in the wheel: {wrong}"


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_readme_lists_every_notebook():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [p.name for p in (ROOT / "notebooks").glob("*.ipynb") if f"notebooks/{p.name}" not in text]


def test_lock_file_with_hosts_stays_out():
    assert "uv.lock" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with notebook 00, and a kit that was installed elsewhere."""
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "site-packages" / "kit" / "cli.py"))
    (tmp_path / "clone" / "notebooks").mkdir(parents=True)
    (tmp_path / "clone" / "notebooks" / cli.FIRST).touch()
    return tmp_path / "clone"


def test_opens_the_first_notebook_on_this_machine_only(clone, monkeypatch):
    monkeypatch.chdir(clone)
    words = cli.lab_arguments(["--no-browser"])
    assert f"--LabApp.default_url=/lab/tree/notebooks/{cli.FIRST}" in words
    assert "--ServerApp.ip=127.0.0.1" in words and f"--ServerApp.root_dir={clone}" in words
    assert words[-1] == "--no-browser" and cli.CONTENTS in words


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no root user")
@pytest.mark.parametrize("user, allowed", [(0, True), (1000, False)])
def test_root_is_allowed_only_where_the_user_is_root(clone, monkeypatch, user, allowed):
    monkeypatch.chdir(clone)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert ("--allow-root" in cli.lab_arguments([])) is allowed


def test_found_from_a_folder_below_the_clone(clone, monkeypatch):
    monkeypatch.chdir(clone / "notebooks")
    assert cli.clone_folder() == clone


def test_outside_a_clone_the_message_says_what_to_do(clone, monkeypatch, capsys):
    monkeypatch.chdir(clone.parent)
    assert cli.main([]) == 2
    assert capsys.readouterr().err == (
        f"loupe: there is no notebooks/{cli.FIRST} in {clone.parent} or above it: "
        "the notebooks are not part of the installed package. "
        "Clone the repository, change into its folder, and type `uv run loupe` there.\n"
    )


def test_a_taken_port_is_named(clone, monkeypatch, capsys):
    monkeypatch.chdir(clone)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert cli.main(["--no-browser", "--port", str(port)]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"loupe: port {port} cannot be used (Address already in use). Name another one")
    assert "--ServerApp.port_retries=0" in cli.lab_arguments([f"--port={port}"])


@pytest.mark.parametrize("words", [["--port"], ["--port=x"], ["--ServerApp.port=70000"], ["--port", "-1"]])
def test_a_port_that_is_none_is_refused(words):
    with pytest.raises(KitError, match="is no port: name one from 1024 to 65535"):
        cli.named_port(words)


def test_an_unknown_command_is_answered_with_the_known_ones(capsys):
    assert cli.main(["lap"]) == 2
    assert (
        capsys.readouterr().err
        == 'loupe: there is no command "lap"; there is: lab, pass, sweep, cache. Nearest: lab.\n'
    )


def test_help_needs_no_clone(capsys):
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: loupe")
