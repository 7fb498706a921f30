"""The runner of the table of transformers: what it keeps, what it prints, and what its page may say."""

import json

import pytest

from tests.bench import coverage_transformers as bench
from tests.bench import coverage_transformers_page as page

EXACT = {
    "name": "AModel", "key": "", "verdict": "exact", "reached": 2, "silent": 0, "layers": 2, "parts": 10,
    "nonzero": 2, "hiding": {}, "error32": 1e-7, "error64": 1e-15, "allowed64": 1e-10, "maps_error64": 1e-18,
}  # fmt: skip
PARTIAL = {**EXACT, "name": "BModel", "verdict": "partial", "reached": 1, "hiding": {"embed": "a wall"}}
ROUNDED = {**EXACT, "name": "CModel", "error64": 1e-9, "allowed64": 3e-9}
REFUSED = {"name": "DModel", "key": "", "verdict": "refused", "reason": "no one representation"}
OUTSIDE = {"name": "EModel", "key": "", "verdict": "outside", "reason": "no attention"}
ROWS = [EXACT, PARTIAL, ROUNDED, REFUSED, OUTSIDE]


def run(monkeypatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["coverage_transformers", *words])
    bench.main()


@pytest.fixture
def asked(monkeypatch):
    """Five models, each of which is examined by looking up its row."""
    seen = []
    rows = {row["name"]: row for row in ROWS}

    def examine(tower):
        seen.append(tower["name"])
        return rows[tower["name"]]

    monkeypatch.setattr(bench, "towers", lambda: [{"name": name} for name in rows])
    monkeypatch.setattr(bench, "examine", examine)
    monkeypatch.setattr(bench.Separate, "examine", lambda self, tower: examine(tower))
    return seen


def test_models_that_are_named_are_printed_and_nothing_is_written(tmp_path, monkeypatch, asked, capsys):
    kept, text = tmp_path / "kept.jsonl", tmp_path / "page.md"
    run(monkeypatch, "BModel", "--kept", str(kept), "--page", str(text))
    assert json.loads(capsys.readouterr().out)["name"] == "BModel"
    assert asked == ["BModel"] and not list(tmp_path.iterdir())
    with pytest.raises(SystemExit, match="there is no XModel among the 5 models"):
        run(monkeypatch, "XModel")


def test_a_run_goes_on_where_it_was_stopped_and_its_page_has_every_row(tmp_path, monkeypatch, asked):
    kept, text = tmp_path / "kept.jsonl", tmp_path / "page.md"
    places = ("--kept", str(kept), "--page", str(text))
    kept.write_text(json.dumps(EXACT) + "\n" + json.dumps({**EXACT, "name": "Gone"}) + "\n")
    run(monkeypatch, *places)
    assert asked == ["BModel", "CModel", "DModel", "EModel"]
    assert [json.loads(line)["name"] for line in kept.read_text().splitlines()] == [r["name"] for r in ROWS]
    run(monkeypatch, "--again", "refused", "CModel", *places)
    assert asked[4:] == ["CModel", "DModel"]
    said = text.read_text()
    assert "Of the 4 that have attention and take pictures, 2 are exact (50 %), 1 partial" in " ".join(
        said.split()
    )
    assert all(f"`{row['name']}`" in said for row in ROWS) and "needed for `CModel`" in said
    assert said.index("## Left out") < said.index("`EModel`")


@pytest.mark.parametrize(
    "lie", [{"error64": 1e-9}, {"maps_error64": 1e-9}, {"reached": 1}, {"nonzero": 1}], ids=str
)
def test_a_row_that_says_more_than_was_found_stops_the_page(tmp_path, lie):
    with pytest.raises(SystemExit, match="not as told: AModel"):
        page.write([{**EXACT, **lie}, *ROWS[1:]], tmp_path / "page.md")
    assert not list(tmp_path.iterdir())


def test_the_committed_page_has_every_model_of_the_table():
    kept = [json.loads(line)["name"] for line in bench.KEPT.read_text(encoding="utf-8").splitlines()]
    assert kept == [tower["name"] for tower in bench.towers()]
    said = bench.PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in said for name in kept)
