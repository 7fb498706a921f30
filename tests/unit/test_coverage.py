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
    "reached": 2, "silent": 0, "layers": 2, "nonzero": 2, "parts": 9, "heads": 4, "tokens": 2, "hiding": {},
    "kinds": {"embed": 1, "head": 4, "mlp": 2, "bias": 2}, "error32": 1e-7, "error64": 1e-16,
    "scores_error64": 1e-16, "maps_error64": 1e-17, "split_error64": 1e-16, "refused_maps": 0,
    "forward_ms": 1.0, "scores_ratio": 1.1, "vectors_ratio": 1.2, "seconds": 3.0,
}  # fmt: skip
PARTIAL = ROW | {
    "name": "timm/some_nest", "family": "nest", "verdict": "partial", "reached": 1, "nonzero": 1, "tokens": 1,
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


SILENT = ROW | {
    "name": "timm/some_cait", "family": "cait", "route": "general", "reached": 1, "silent": 1, "nonzero": 1,
    "tokens": 1, "rechecked": 2.0,
}  # fmt: skip
BARE = ROW | {
    "name": "convnext_some", "library": "open_clip", "family": "timm trunk convnext_some", "route": "general",
    "verdict": "no attention", "reached": 0, "layers": 0, "nonzero": 0, "heads": 0, "tokens": 0,
    "kinds": {"embed": 1, "branch": 7, "bias": 1}, "attention": False,
}  # fmt: skip


def test_a_small_tower_is_examined():
    row = coverage.examine(TOWER | {"name": "timm/test_vit"})
    assert coverage_page.false_claims(row) == []
    assert (row["verdict"], row["reached"], row["layers"]) == ("exact", row["layers"], row["reached"])
    assert row["nonzero"] == row["reached"] and row["silent"] == row["refused_maps"] == 0
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
    assert row["verdict"] == "no attention" and coverage_page.false_claims(row) == []
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
    monkeypatch.setattr(coverage.Bench, "seconds", 0)
    bench = coverage.Bench()
    row = bench.examine(TOWER | {"name": "timm/test_vit"})
    assert (row["verdict"], row["reason"]) == ("failed", "no result after 0 s") and bench.process is None


def test_the_page_counts_and_gives_reasons(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage_page, "DOCS", tmp_path)
    page = coverage_page.write([ROW, PARTIAL, REFUSED, FAILED, *OUTSIDE], 400_000_000, 60, []).read_text()
    assert "4 image towers" in page and "1 of them (25 %) come out exact" in " ".join(page.split())
    assert "Left out: 1 names without attention and 1 that are larger." in page
    assert "| both | 4 | 1 (25 %) | 0 | 1 (25 %) | 1 (25 %) | 1 (25 %) | 1e-16 | 1e-17 | 1e-07 |" in page
    assert "| timm/some_nest | 1/2 | `embed` behind `aten.max_pool2d.default in levels.0.pool` |" in page
    assert "| resnet | aten.relu.default | layer4.1.act2 | timm/some_cnn |" in page
    assert "| timm/slow | no result \\| in time |" in page
    rows = pd.read_csv(tmp_path / "coverage.csv")
    assert list(rows["name"]) == ["timm/slow", "timm/some_nest", "timm/some_cnn", "timm/some_vit"]
    assert rows.set_index("name").loc["timm/some_nest", "hiding"].startswith("embed: aten.max_pool2d")


def test_a_line_is_checked_once_more_and_keeps_its_times(tmp_path, monkeypatch):
    before = coverage.examine(TOWER | {"name": "timm/test_vit"})
    after = coverage.rechecked(before | {"reached": 99, "maps_error64": 1.0, "reason": "none"})
    changed = {k for k in before | after if before.get(k) != after.get(k)}
    assert changed == {"rechecked"} and after["rechecked"] > 0
    kept = tmp_path / "coverage.jsonl"
    lines = [before, ROW, REFUSED, OUTSIDE[0]]
    kept.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = []
    monkeypatch.setattr(
        coverage.Bench, "examine", lambda self, t: (asked.append(t["name"]), t | {"rechecked": 1.0})[1]
    )
    coverage.recheck(kept, {"plain"})
    coverage.recheck(kept, {"vision_transformer", "resnet"})
    assert asked == ["timm/some_vit", "timm/test_vit", "timm/some_cnn"]
    coverage.recheck(kept, {"timm/some_vit", "plain"})  # a name is asked for again, a route is not
    assert asked[3:] == ["timm/some_vit"]


def test_a_line_takes_silence_from_a_twin_that_was_asked():
    asked = ROW | {
        "name": "timm/swin_tiny",
        "family": "swin_transformer",
        "route": "general",
        "rechecked": 1.0,
    }
    never = {k: v for k, v in asked.items() if k not in ("silent", "nonzero", "rechecked")}
    others = {
        "timm/swin_large": never,
        "swin_clip": never | {"family": "timm trunk swin_base"},
        "timm/swinv2_tiny": never,
        "timm/swin_s3": never | {"kinds": {"head": 4, "branch": 5}},
        "timm/swin_loud": never | {"silent": 1},
    }
    rows = {name: row | {"name": name} for name, row in others.items()} | {asked["name"]: asked}
    found = coverage.with_twins(rows)
    twins = {name: row.get("twin") for name, row in found.items()}
    assert {n for n, twin in twins.items() if twin} == {"timm/swin_large", "swin_clip"}
    assert twins["timm/swin_large"] == "timm/swin_tiny" and found["timm/swin_large"]["silent"] == 0
    assert found["timm/swin_loud"]["silent"] == 1 and found["timm/swin_tiny"] is asked
    assert "twin" not in never
    half = coverage.with_twins(rows | {asked["name"]: asked | {"nonzero": 1}})
    assert not any(row.get("twin") for row in half.values())


def test_silent_layers_and_towers_without_attention_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage_page, "DOCS", tmp_path)
    page = coverage_page.write([ROW, SILENT, BARE], 400_000_000, 60, []).read_text()
    told = " ".join(page.split())
    assert (
        "2 image towers" in told
        and "2 of them (100 %) come out exact; in 1 of these some layers write" in told
    )
    assert "| cait | 1 | 2 | 1 | 1 |" in page
    assert "| convnext_some | the sum is exact, its parts are whole branches | 9 | 1e-16 |" in page
    assert "1 were looked at once more" in told and "They are of cait." in told
    assert pd.read_csv(tmp_path / "coverage.csv").set_index("name").loc["timm/some_cait", "silent"] == 1


# what a line may not say, and what is said of it
FALSE = {
    "maps that miss": (ROW, {"maps_error64": 4e-2}, "maps_error64 4e-02"),
    "splits that miss": (ROW, {"split_error64": 4e-2}, "maps that miss their heads and are not refused"),
    "a sum that misses": (ROW, {"error64": 1e-9}, "error64 1e-09"),
    "scores that miss": (ROW, {"scores_error64": 1e-9}, "scores_error64 1e-09"),
    "single precision": (ROW, {"error32": 1e-4}, "error32 1e-04"),
    "maps unasked": (
        {k: v for k, v in ROW.items() if k != "maps_error64"},
        {},
        "maps that were not held against scores",
    ),
    "more reached than layers": (
        ROW,
        {"reached": 3, "nonzero": 3},
        "more layers reached or silent than there are",
    ),
    "zero heads": (ROW, {"nonzero": 1}, "layers reached and layers with a head that is not zero differ"),
    "places": (ROW, {"tokens": 3}, "more layers with places than layers reached"),
    "heads": (ROW, {"heads": 5}, "heads that are not counted among its kinds"),
    "parts": (ROW, {"parts": 10}, "parts that are not the sum of its kinds"),
    "few heads": (ROW, {"heads": 1}, "heads that are fewer than layers, or more than parts"),
    "no time": (ROW, {"scores_ratio": 0.0}, "no scores_ratio"),
    "no input": (ROW, {"input": [0, 64]}, "no input"),
    "exact without attention": (BARE, {"verdict": "exact"}, "exact without attention"),
    "exact with mixers": (ROW, {"linear": 2}, "exact with mixers that are no attention"),
    "exact and hidden": (PARTIAL, {"verdict": "exact"}, "exact, but layers are hidden"),
    "partial and whole": (PARTIAL, {"reached": 2, "nonzero": 2}, "partial, but every layer is reached"),
    "partial for nothing": (PARTIAL, {"hiding": {}}, "partial, and nothing hides a layer"),
    "layers without attention": (ROW, {"verdict": "no attention"}, "no attention, but layers"),
    "silence unasked": (
        {k: v for k, v in SILENT.items() if k != "silent"},
        {},
        "whether layers are silent was never asked",
    ),
    "refused for nothing": (REFUSED, {"reason": "it is hard"}, "refused without a reason"),
    "failed for nothing": (FAILED, {"reason": ""}, "failed without a reason"),
    "outside for nothing": (OUTSIDE[0], {"reason": "hard"}, "outside for 'hard'"),
    "no verdict": (ROW, {"verdict": "fine"}, "verdict 'fine'"),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_line_that_says_more_than_was_found_writes_no_page(what, tmp_path, monkeypatch):
    row, change, said = FALSE[what]
    assert said in coverage_page.false_claims(row | change)
    monkeypatch.setattr(coverage_page, "DOCS", tmp_path)
    with pytest.raises(ValueError, match="1 lines say more than was found, and no page is written"):
        coverage_page.write([ROW, row | {"name": "other"} | change], 400_000_000, 60, [])
    assert list(tmp_path.iterdir()) == []


def test_the_lines_of_the_repository_say_no_more_than_was_found():
    found = coverage.with_twins(coverage.read(coverage.KEPT))
    coverage_page.assert_claims(list(found.values()))
    assert len(found) > 1000


def test_good_lines_say_nothing_false():
    for row in (ROW, PARTIAL, SILENT, BARE, REFUSED, FAILED, *OUTSIDE):
        assert coverage_page.false_claims(row) == []
