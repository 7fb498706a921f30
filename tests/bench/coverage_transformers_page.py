"""The page of `tests.bench.coverage_transformers`: every row, and the shares of those with attention."""

from pathlib import Path

import pandas as pd

ALLOWED = 1e-10  # in float64

_HEAD = """# Which vision models of transformers can be taken apart

{count} models of transformers {version} were built from tiny configurations with random weights, given to
`kit.load` as live modules, and taken apart by the engine that reads the recorded graph: every key of the
library's table of image classifiers, and vision towers that come bare or beside a text tower.

**Of the {inside} that have attention and take pictures, {exact} are exact ({share}), {partial} partial,
{refused} refused and {failed} failed ({failed_share}); of {silent} some layers write nothing themselves.**

| verdict | models |
|---|---|
{counts}

Models without attention do not count: a ResNet has branches and no heads, and the kit is asked for heads.
Neither do those whose main input is something else than a picture, nor those that cannot be built here. All
of them stand at the end with the reason. Models that mix tokens by a linear form of attention, which weighs
no token by a query and a key, do count; their verdict is *no attention*: the mixers lie inside branches. So
does attention that is written as an einsum (CvT's), in which no pattern is looked for.

What the other verdicts mean stands in [coverage.md](coverage.md). *Error* is the largest distance of the sum
of parts from the representation, relative to its length; *maps* the largest distance of token maps from the
scores of their parts, in float64. Where a library computes a step in float32 whatever the model is in, as the
norms of some do, its own output in float64 is no finer than that, and neither is the sum of parts; what is
allowed then is three times the distance that these steps make, and {rounded}. Which tensor is the
representation is said in `model.notes`.

Made with `python -m tests.bench.coverage_transformers`, which goes on where it was stopped: torch {torch}, no
norm, bias or scale at a neutral value, two pictures of noise. Every line is in
[coverage_transformers.jsonl](coverage_transformers.jsonl). The command stops where a line says more than was
found.

"""


def write(rows: list[dict], page: Path) -> str:
    """Write the page; the shares in one line.

    Raises:
        SystemExit: a line says more than was found.
    """
    import torch
    import transformers

    table = pd.DataFrame(rows)
    _expect_true(table)
    inside = table[table["verdict"] != "outside"]
    count = inside["verdict"].value_counts()
    exact, failed = int(count.get("exact", 0)), int(count.get("failed", 0))
    silent = int((inside["silent"].fillna(0) > 0).sum())
    rounded = list(inside["name"][inside["allowed64"] > ALLOWED])
    head = _HEAD.format(
        count=len(table), version=transformers.__version__, inside=len(inside), exact=exact,
        share=_share(exact, len(inside)), partial=int(count.get("partial", 0)),
        refused=int(count.get("refused", 0)), failed=failed, failed_share=_share(failed, len(inside)),
        silent=silent, counts="\n".join(f"| {verdict} | {n} |" for verdict, n in count.items()),
        rounded=f"that is needed for {', '.join(f'`{n}`' for n in rounded)}" if rounded else "none needs it",
        torch=torch.__version__.split("+")[0],
    )  # fmt: skip
    text = head + _lines(inside) + "\n## Left out\n\n" + _left_out(table[table["verdict"] == "outside"])
    page.write_text(text, encoding="utf-8", newline="\n")
    return f"exact {exact}/{len(inside)}, failed {failed}, silent {silent}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"


def _expect_true(table: pd.DataFrame) -> None:
    known = table[table["verdict"].isin(["exact", "partial", "no attention"])]
    wrong = known[(known["error64"] > known["allowed64"]) | (known["maps_error64"].fillna(0) > ALLOWED)]
    exact = table[table["verdict"] == "exact"]
    few = exact[
        (exact["reached"] + exact["silent"] < exact["layers"]) | (exact["nonzero"] < exact["reached"])
    ]
    if len(wrong) or len(few):
        raise SystemExit(f"not as told: {', '.join([*wrong['name'], *few['name']])}")


def _lines(rows: pd.DataFrame) -> str:
    lines = [
        "| model | verdict | layers | parts | error, float32 | error, float64 | maps, float64 | why not |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows.sort_values(["verdict", "name"]).to_dict("records"):
        known = row["verdict"] in ("exact", "partial")
        layers = f"{row['reached']:.0f}/{row['layers']:.0f}" if known else ""
        parts = f"{row['parts']:.0f}" if known else ""
        errors = [_small(row.get(name)) for name in ("error32", "error64", "maps_error64")]
        lines.append(
            "| " + " | ".join([f"`{row['name']}`", row["verdict"], layers, parts, *errors, _why(row)]) + " |"
        )
    return "\n".join(lines) + "\n"


def _why(row: dict) -> str:
    if isinstance(row.get("hiding"), dict) and row["hiding"] and row["verdict"] == "partial":
        return "; ".join(f"`{part}` behind `{wall}`" for part, wall in list(row["hiding"].items())[:2])
    reason = row.get("reason")
    return reason.replace("|", "\\|") if isinstance(reason, str) else ""


def _left_out(rows: pd.DataFrame) -> str:
    lines = ["| model | why |", "|---|---|"]
    for row in rows.sort_values("name").to_dict("records"):
        lines.append(f"| `{row['name']}` | {_why(row)} |")
    return "\n".join(lines) + "\n"


def _small(value: object) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.0e}"
