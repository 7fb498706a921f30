"""The coverage table: what is examined, what is kept, and the page that is written from it."""

import json

import pandas as pd
import pytest
import timm
from torch import nn

from tests.bench import coverage, coverage_page

TOWER = {"library": "timm", "family": "vision_transformer", "same": []}
ROW = TOWER | {
    "name": "timm/some_vit", "parameters": 7, "input": [64, 64], "verdict": "exact", "route": "plain",
    "reached": 2, "layers": 2, "parts": 9, "heads": 4, "tokens": 2, "hiding": {}, "error32": 1e-7,
    "error64": 1e-16, "scores_error64": 1e-16, "maps_error64": 1e-17, "forward_ms": 1.0,
    "scores_ratio": 1.1, "vectors_ratio": 1.2, "seconds": 3.0,
}  # fmt: skip
PARTIAL = ROW | {
    "name": "timm/some_nest", "family": "nest", "verdict": "partial", "reached": 1,
    "hiding": {"embed": "aten.max_pool2d.default in levels.0.pool"},
}  # fmt: skip
REFUSED = TOWER | {
    "name": "timm/some_cnn", "family": "resnet", "verdict": "refused", "seconds": 1.0,
    "reason": '"timm/some_cnn" is refused: its representation comes straight out of "aten.relu.default" '
    'in module "layer4.1.act2", so there is one part and no sum; …',
}  # fmt: skip
FAILED = TOWER | {
    "name": "timm/slow",
    "family": "davit",
    "verdict": "failed",
    "reason": "no result | in time",
    "seconds": 9,
}
OUTSIDE = [
    TOWER | {"name": "timm/mlp", "verdict": "outside", "reason": "no attention", "seconds": 0.1},
    TOWER | {"name": "timm/huge", "verdict": "outside", "reason": "too large", "seconds": 0.1},
]


def test_a_small_tower_is_examined():
    row = coverage.examine(TOWER | {"name": "timm/test_vit"})
    assert (row["verdict"], row["reached"], row["layers"]) == ("exact", row["layers"], row["reached"])
    assert max(row["error64"], row["scores_error64"], row["maps_error64"]) < 1e-12 < row["error32"] < 1e-5
    assert row["input"] == [64, 64] and row["scores_ratio"] > 0


def test_a_tower_without_attention_is_left_out_and_a_wrong_name_fails():
    assert coverage.examine(TOWER | {"name": "timm/resnet18"})["reason"] == "no attention"
    row = coverage.examine(TOWER | {"name": "timm/no_such_vit"})
    assert row["verdict"] == "failed" and "no_such_vit" in row["reason"]


@pytest.mark.parametrize(
    ("name", "has"),
    [("test_vit", True), ("test_resnet", False), ("resnet50_clip", True), ("coat_tiny", True)],
)
def test_attention_is_found_in_a_module_s_own_code(name, has):
    model = timm.create_model(name, pretrained=False)
    assert any(coverage.attends(type(m)) for m in model.modules()) == has
    assert coverage.attends(nn.MultiheadAttention) and not coverage.attends(nn.Linear)


def test_linear_attention_is_counted_apart(tmp_path, monkeypatch):
    row = coverage.examine(TOWER | {"name": "timm/mobilevitv2_050", "family": "mobilevit"})
    assert row["linear"] > 0 and row["error64"] < 1e-12
    refused = coverage.examine(TOWER | {"name": "timm/lambda_resnet26t", "family": "byoanet"})
    assert refused["verdict"] == "refused" and refused["linear"] > 0
    monkeypatch.setattr(coverage_page, "DOCS", tmp_path)
    page = coverage_page.write([ROW, row, refused], 400_000_000, 60, []).read_text()
    assert "1 image towers" in page and "1 of 3 (33 %)" in page
    assert "| mobilevit | the sum is exact, but mixers lie inside other parts | 1 |" in page


def test_lines_are_kept_and_only_missing_ones_are_examined(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(coverage.Bench, "examine", lambda self, t: (asked.append(t["name"]), ROW | t)[1])
    kept = tmp_path / "new" / "coverage.jsonl"
    some = [TOWER | {"name": n} for n in ("a", "b")]
    coverage.collect(some[:1], kept, set())
    coverage.collect(some, kept, set())
    assert asked == ["a", "b"]
    coverage.collect(some, kept, {"b"})
    assert asked == ["a", "b", "b"] and list(coverage.read(kept)) == ["a", "b"]
    assert all(json.loads(line)["verdict"] == "exact" for line in kept.read_text().splitlines())


def test_a_tower_that_takes_too_long_has_failed(monkeypatch):
    monkeypatch.setattr(coverage, "SECONDS", 0)
    bench = coverage.Bench()
    row = bench.examine(TOWER | {"name": "timm/test_vit"})
    assert (row["verdict"], row["reason"]) == ("failed", "no result after 0 s") and bench.process is None


def test_the_page_counts_and_gives_reasons(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage_page, "DOCS", tmp_path)
    page = coverage_page.write([ROW, PARTIAL, REFUSED, FAILED, *OUTSIDE], 400_000_000, 60, []).read_text()
    assert "4 image towers" in page and "1 of them (25 %) come out exact" in " ".join(page.split())
    assert "Left out: 1 names without attention and 1 that are larger." in page
    assert "| both | 4 | 1 (25 %) | 1 (25 %) | 1 (25 %) | 1 (25 %) | 1e-16 | 1e-07 |" in page
    assert "| timm/some_nest | 1/2 | `embed` behind `aten.max_pool2d.default in levels.0.pool` |" in page
    assert "| resnet | aten.relu.default | layer4.1.act2 | timm/some_cnn |" in page
    assert "| timm/slow | no result \\| in time |" in page
    rows = pd.read_csv(tmp_path / "coverage.csv")
    assert list(rows["name"]) == ["timm/slow", "timm/some_nest", "timm/some_cnn", "timm/some_vit"]
    assert rows.set_index("name").loc["timm/some_nest", "hiding"].startswith("embed: aten.max_pool2d")
