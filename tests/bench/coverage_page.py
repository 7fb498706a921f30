"""The page of the coverage table: `docs/coverage.md`, and every line in `docs/coverage.csv`."""

import csv
import os
from importlib.metadata import version
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parents[2] / "docs"
VERDICTS = ("exact", "partial", "refused", "failed")
COLUMNS = [
    "name",
    "library",
    "family",
    "verdict",
    "reached",
    "layers",
    "parts",
    "heads",
    "tokens",
    "route",
    "parameters",
    "input",
    "error64",
    "scores_error64",
    "maps_error64",
    "error32",
    "forward_ms",
    "scores_ratio",
    "vectors_ratio",
    "seconds",
    "same",
    "hiding",
    "reason",
    "linear",
]
HEAD = """# Which vision transformers can be taken apart

{total} image towers were built with random weights and taken apart by the one engine of this kit, which
reads the recorded graph and knows no architecture by name: every name of timm {timm} that contains
attention and every distinct image tower of open_clip {open_clip}, up to {largest} million parameters.
{exact} of them ({share}) come out exact.

| verdict | means |
|---|---|
| exact | the parts sum to the library's own output, and every attention layer is a part (its heads are) |
| partial | the sum is exact too, but some attention layers lie inside other parts: listed below |
| refused | the representation comes straight out of an operation that no part can pass, or there is none |
| failed | anything else: an error, a sum that misses, more than {seconds} seconds |

Weights are random, and no norm, bias, scale or running statistic sits at a neutral value, so that no
identity holds by accident. The input is the smallest of a list of sizes that the network takes, two
images of noise. *Error* is the largest distance of the sum of parts from the output of the library's own
module, over the output's length. In float64 two more identities are measured: scores (one vector–Jacobian
product) against vectors (all parts pushed forward) times direction, and token maps against scores. Times
are for one image at that small input with one thread on a shared machine, in units of the library's own
forward: there they are mostly the overhead of many small operations, and
[bench/general.md](bench/general.md) has the times at full size.

Made with `python -m tests.bench.coverage`, which goes on where it was stopped. timm {timm}, open_clip
{open_clip}, torch {torch}. Every line is in [coverage.csv](coverage.csv).
"""


def table(rows: pd.DataFrame) -> str:
    """A data frame as markdown."""
    lines = ["| " + " | ".join(map(str, rows.columns)) + " |", "|" + "---|" * len(rows.columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows.itertuples(index=False)])


def write(found: list[dict], largest: int, seconds: int, missing: list[str]) -> Path:
    """Write page and table from the lines, and name the towers without one; give the page's path."""
    rows = pd.DataFrame(found).reindex(columns=COLUMNS)
    examined = rows[rows["verdict"] != "outside"].sort_values(["library", "family", "name"])
    _write_csv(examined)
    linear = examined["linear"].fillna(0) > 0
    inside, apart = examined[~linear], examined[linear]
    exact = int((inside["verdict"] == "exact").sum())
    head = HEAD.format(
        total=len(inside), exact=exact, share=_percent(exact, len(inside)),
        largest=largest // 10**6, seconds=seconds,
        timm=version("timm"), open_clip=version("open_clip_torch"), torch=version("torch").partition("+")[0],
    )  # fmt: skip
    left_out = rows[rows["verdict"] == "outside"]
    large = left_out[left_out["reason"] == "too large"]
    sections = [
        head,
        f"Left out: {int((left_out['reason'] == 'no attention').sum())} names without attention and "
        f"{len(large)} that are larger."
        + (f" Not examined yet, and in no count: {', '.join(missing)}.\n" if missing else "\n"),
        "## In all\n\n" + table(_totals(inside)) + "\n",
        "## By family\n\n" + _BY_FAMILY + "\n\n" + table(_families(inside)) + "\n",
        "## Partial: what hides the rest\n\n" + table(_partial(inside)) + "\n",
        "## Refused, and the operation that proves it\n\n" + table(_reasons(inside, "refused")) + "\n",
        "## Failed\n\n" + _failed(inside),
        "## Linear attention, in no count above\n\n" + _linear(apart, exact, len(inside)),
    ]
    page = DOCS / "coverage.md"
    _replace(page, "\n".join(sections))
    return page


_BY_FAMILY = """Family: the file of timm, or the kind of open_clip tower. *Attention*: layers that are parts,
of all, summed over its names. *Places*: of these layers, those whose source tokens are known (channel
attention has none). Errors are the largest of the family, ratios the median."""


def _totals(rows: pd.DataFrame) -> pd.DataFrame:
    out = []
    for library, own in [*rows.groupby("library"), ("both", rows)]:
        counts = [int((own["verdict"] == v).sum()) for v in VERDICTS]
        shares = [f"{c} ({_percent(c, len(own))})" for c in counts]
        out.append([library, len(own), *shares, _most(own, "error64"), _most(own, "error32")])
    return pd.DataFrame(
        out, columns=["library", "names", *VERDICTS, "largest error, float64", "largest error, float32"]
    )


def _families(rows: pd.DataFrame) -> pd.DataFrame:
    out = []
    for family, own in rows.assign(family=rows["family"].map(_short)).groupby("family"):
        counts = [int((own["verdict"] == v).sum()) or "" for v in VERDICTS]
        reached = f"{_sum(own, 'reached')}/{_sum(own, 'layers')}"
        identities = own[["error64", "scores_error64", "maps_error64"]].max().max()
        out.append([
            family, len(own), *counts, reached, _sum(own, "tokens"),
            _small(identities), _most(own, "error32"),
            _middle(own, "scores_ratio"), _middle(own, "vectors_ratio"),
        ])  # fmt: skip
    heads = ["attention", "places", "error, float64", "error, float32", "scores ×", "vectors ×"]
    return pd.DataFrame(out, columns=["family", "names", *VERDICTS, *heads])


def _partial(rows: pd.DataFrame) -> pd.DataFrame:
    some = rows[rows["verdict"] == "partial"]
    lines = []
    for row in some.itertuples():
        walls = "; ".join(f"`{part}` behind `{wall}`" for part, wall in list(row.hiding.items())[:2])
        more = len(row.hiding) - 2
        lines.append(
            [row.name, f"{row.reached:.0f}/{row.layers:.0f}", walls + (f"; {more} more" if more > 0 else "")]
        )
    return pd.DataFrame(lines, columns=["name", "attention", "the others lie inside"])


def _reasons(rows: pd.DataFrame, verdict: str) -> pd.DataFrame:
    some = rows[rows["verdict"] == verdict]
    reasons = some["reason"].str.extract(
        r'comes straight out of "(?P<operation>[^"]*)" in module "(?P<module>[^"]*)"'
    )
    reasons = reasons.fillna({"operation": "gives tokens, no representation", "module": "the tower"})
    grouped = some.assign(**reasons).groupby(["family", "operation", "module"])["name"].apply(", ".join)
    return grouped.reset_index()[["family", "operation", "module", "name"]]


def _failed(rows: pd.DataFrame) -> str:
    some = rows[rows["verdict"] == "failed"][["name", "reason"]]
    return (
        table(some.assign(reason=some["reason"].str.replace("|", "\\|"))) if len(some) else "None."
    ) + "\n"


def _linear(rows: pd.DataFrame, exact: int, others: int) -> str:
    """Towers whose mixers have no softmax of queries and keys."""
    whole = rows["verdict"].isin(["exact", "partial"])
    said = rows["verdict"].where(~whole, "the sum is exact, but mixers lie inside other parts")
    counted = rows.assign(said=said).groupby(["family", "said"])
    lines = counted.agg(names=("name", "size"), error=("error64", "max")).reset_index()
    lines["error"] = lines["error"].map(_small)
    share = f"{exact} of {others + len(rows)} ({_percent(exact, others + len(rows))})"
    head = _LINEAR.format(names=len(rows), share=share)
    return head + table(lines.set_axis(["family", "found", "names", "error, float64"], axis=1)) + "\n"


_LINEAR = """{names} more names mix tokens by weights that they compute, but not by a softmax of queries and
keys: linear, additive and lambda layers, and EfficientViM's state-space mixer. The engine does not take all
of them apart: where the sum is exact, some or all of these mixers lie inside other parts. Counted with the
others, and never as exact, they make the share {share}.

"""


def _write_csv(rows: pd.DataFrame) -> None:
    plain = rows.assign(
        same=rows["same"].map(", ".join),
        input=rows["input"].map(lambda size: "x".join(map(str, size)) if isinstance(size, list) else ""),
        hiding=rows["hiding"].map(_walls),
    )
    numbers = {c: "Int64" for c in ("reached", "layers", "parts", "heads", "tokens", "parameters")}
    text = plain.astype(numbers).to_csv(
        index=False, float_format="%.3g", quoting=csv.QUOTE_MINIMAL, lineterminator="\n"
    )
    _replace(DOCS / "coverage.csv", text)


def _walls(hiding: object) -> str:
    return "; ".join(f"{part}: {wall}" for part, wall in hiding.items()) if isinstance(hiding, dict) else ""


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.write_text(text, encoding="utf-8", newline="\n")
    os.replace(fresh, path)


def _short(family: str) -> str:
    return "timm trunks in open_clip" if family.startswith("timm trunk") else family


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.0f} %"


def _sum(rows: pd.DataFrame, column: str) -> int:
    return int(rows[column].fillna(0).sum())


def _small(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.0e}"


def _most(rows: pd.DataFrame, column: str) -> str:
    return _small(rows[column].max())


def _middle(rows: pd.DataFrame, column: str) -> str:
    return "" if rows[column].isna().all() else f"{rows[column].median():.2f}"
