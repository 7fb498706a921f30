"""The page of the coverage table: `docs/coverage.md`, and every line in `docs/coverage.csv`."""

import csv
import os
from importlib.metadata import version
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parents[2] / "docs"
VERDICTS = ("exact", "partial", "refused", "failed")
WHOLE = ("exact", "partial", "no attention")  # there is a sum
COLUMNS = [
    "name",
    "library",
    "family",
    "verdict",
    "reached",
    "silent",
    "layers",
    "nonzero",
    "parts",
    "heads",
    "tokens",
    "route",
    "parameters",
    "input",
    "error64",
    "scores_error64",
    "maps_error64",
    "split_error64",
    "refused_maps",
    "error32",
    "forward_ms",
    "scores_ratio",
    "vectors_ratio",
    "seconds",
    "rechecked",
    "twin",
    "same",
    "hiding",
    "reason",
    "linear",
    "attention",
]
HEAD = """# Which vision transformers can be taken apart

{total} image towers were built with random weights and taken apart by the one engine of this kit, which
reads the recorded graph and knows no architecture by name: every name of timm {timm} that contains
attention and every distinct image tower of open_clip {open_clip}, up to {largest} million parameters.
{exact} of them ({share}) come out exact; in {silent} of these some layers write nothing themselves.

| verdict | means |
|---|---|
| exact | the parts sum to the library's own output; each attention layer that writes to it is a part |
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
{open_clip}, torch {torch}. Every line is in [coverage.csv](coverage.csv). The command stops where a line says
more than was found: an exact sum or maps that miss by more than 1e-10 in float64, more layers reached than
have a head that is not zero, a verdict without attention.

{rechecked}
"""
RECHECKED = """Lines are of two ages. {count} were looked at once more, in float64 alone (`--recheck`):
verdict, layers, and errors of sum, scores and maps are of that day, and so is the number of layers with a
head that is not zero (`nonzero`); times and the error in float32 are of the first. They are of {families}.
{twins} others also go the general route, and are wired like one of these (`twin`: the same file, first
word, verdict and kinds of parts), in which no layer is silent. {plain} go the route of plain streams, on
which the representation has a path to every layer that is a part. Their figures are of the first day; maps
were held against scores then too."""


TOLERANCE = {"error64": 1e-10, "scores_error64": 1e-10, "maps_error64": 1e-10, "error32": 1e-5}


def false_claims(row: dict) -> list[str]:
    """What a line says that its own figures do not bear out; empty where all is well."""
    verdict, reason = row["verdict"], str(row.get("reason", ""))
    if verdict == "outside":
        return [] if reason in ("no attention", "too large") else [f"outside for {reason!r}"]
    if verdict in ("refused", "failed"):
        proved = verdict == "failed" or f'"{row["name"]}" is refused: ' in reason
        return [] if reason and proved else [f"{verdict} without a reason"]
    if verdict not in WHOLE:
        return [f"verdict {verdict!r}"]
    reached, layers, heads = row["reached"], row["layers"], row["heads"]
    silent = row.get("silent", 0 if row["route"] == "plain" else None)
    maps = heads > 0 and row.get("refused_maps", 0) < reached
    says = [
        (silent is not None, "whether layers are silent was never asked"),
        (reached + (silent or 0) <= layers, "more layers reached or silent than there are"),
        (
            row.get("nonzero", reached) == reached,
            "layers reached and layers with a head that is not zero differ",
        ),
        (row["tokens"] <= reached, "more layers with places than layers reached"),
        (reached <= heads <= row["parts"], "heads that are fewer than layers, or more than parts"),
        (heads == row["kinds"].get("head", 0), "heads that are not counted among its kinds"),
        (sum(row["kinds"].values()) == row["parts"], "parts that are not the sum of its kinds"),
        (not maps or "maps_error64" in row, "maps that were not held against scores"),
        (
            row.get("split_error64", 0) <= 1e-10 or row["refused_maps"] > 0,
            "maps that miss their heads and are not refused",
        ),
        *((row.get(c, 0) <= most, f"{c} {row.get(c, 0):.0e}") for c, most in TOLERANCE.items()),
        *(
            (row[c] > 0, f"no {c}")
            for c in ("forward_ms", "scores_ratio", "vectors_ratio", "seconds", "parameters")
        ),
        (min(row["input"]) > 0, "no input"),
    ]
    says += {
        "exact": [
            (layers > 0 and reached > 0, "exact without attention"),
            (reached + (silent or 0) == layers and not row["hiding"], "exact, but layers are hidden"),
            (not row.get("linear"), "exact with mixers that are no attention"),
        ],
        "partial": [
            (reached < layers, "partial, but every layer is reached"),
            (bool(row["hiding"]), "partial, and nothing hides a layer"),
        ],
        "no attention": [(layers == reached == heads == 0, "no attention, but layers")],
    }[verdict]
    return [sentence for holds, sentence in says if not holds]


def assert_claims(found: list[dict]) -> None:
    """Raise where a line says more than its figures bear out."""
    wrong = [f"{row['name']}: {'; '.join(claims)}" for row in found if (claims := false_claims(row))]
    if wrong:
        raise ValueError(
            f"{len(wrong)} lines say more than was found, and no page is written:\n" + "\n".join(wrong)
        )


def table(rows: pd.DataFrame) -> str:
    """A data frame as markdown."""
    lines = ["| " + " | ".join(map(str, rows.columns)) + " |", "|" + "---|" * len(rows.columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows.itertuples(index=False)])


def write(found: list[dict], largest: int, seconds: int, missing: list[str]) -> Path:
    """Write page and table from the lines, and name the towers without one; give the page's path.

    Raises:
        ValueError: a line that says more than its own figures bear out; nothing is written then.
    """
    assert_claims(found)
    rows = pd.DataFrame(found).reindex(columns=COLUMNS).astype({"reason": "string"})
    rows.loc[rows["route"] == "plain", "silent"] = 0
    examined = rows[rows["verdict"] != "outside"].sort_values(["library", "family", "name"])
    _write_csv(examined)
    linear = examined["linear"].fillna(0) > 0
    bare = (examined["attention"] == False) & ~linear  # noqa: E712 - missing where nobody asked
    inside, apart = examined[~linear & ~bare], examined[linear]
    exact = inside["verdict"] == "exact"
    head = HEAD.format(
        total=len(inside), exact=exact.sum(), share=_percent(exact.sum(), len(inside)),
        silent=(exact & (inside["silent"] > 0)).sum(), largest=largest // 10**6, seconds=seconds,
        timm=version("timm"), open_clip=version("open_clip_torch"), torch=version("torch").partition("+")[0],
        rechecked=_rechecked(examined),
    )  # fmt: skip
    left_out = rows[rows["verdict"] == "outside"]
    large = left_out[left_out["reason"] == "too large"]
    sections = [
        head,
        f"Left out: {int((left_out['reason'] == 'no attention').sum())} names without attention and "
        f"{len(large)} that are larger."
        + (f" Not examined yet, and in no count: {', '.join(missing)}.\n" if missing else "\n"),
        "## In all\n\n" + table(_totals(inside)) + "\n",
        "## Exact, with layers that write nothing themselves\n\n" + _SILENT + table(_silent(inside)) + "\n",
        "## By family\n\n" + _BY_FAMILY + "\n\n" + table(_families(inside)) + "\n",
        "## Partial: what hides the rest\n\n" + table(_partial(inside)) + "\n",
        "## Refused, and the operation that proves it\n\n" + table(_reasons(inside, "refused")) + "\n",
        "## Failed\n\n" + _failed(inside),
        "## Without attention, in no count above\n\n" + _BARE + table(_bare(examined[bare])) + "\n",
        "## Linear attention, in no count above\n\n" + _linear(apart, int(exact.sum()), len(inside)),
    ]
    page = DOCS / "coverage.md"
    _replace(page, "\n".join(sections))
    return page


def _rechecked(rows: pd.DataFrame) -> str:
    """Which lines were looked at once more, and why the others need not be."""
    again = rows["rechecked"].notna()
    if not again.any():
        return ""
    others = rows[~again & rows["verdict"].isin(WHOLE)]
    families = sorted(rows[again]["family"].map(_short).unique())
    return RECHECKED.format(
        count=again.sum(),
        families=", ".join(families),
        twins=others["twin"].notna().sum(),
        plain=(others["route"] == "plain").sum(),
    )


_SILENT = """Some towers read one token, and hand it the picture late: the patches of CaiT meet in 24
layers, and then two layers of class attention read them. What the 24 write stands in the patches, and
nothing of a patch stands in the representation, so that every part of theirs is zero, whatever the weights
are. That is no error, and nothing is hidden: with the outputs of all other attention layers held, these
layers were silenced and the representation stayed the same to the bit, so that attention alone reads them.
But they are not counted as reached. Heads, source tokens and edits of the other layers are what there is to
look at; what a silent layer does for them shows in a total effect.

"""
_BARE = """Towers of open_clip without an attention layer (names of timm without one are not built at all).
Their parts are whole branches; 0 of 0 layers is no reason to call them exact.

"""


_BY_FAMILY = """Family: the file of timm, or the kind of open_clip tower. *Attention*: layers that are parts
which can be other than zero, of all, summed over its names. *Silent*: layers whose parts are zero, since
the representation reads nothing that they write. *Places*: of the layers that are parts, those whose source
tokens are known (channel attention has none). Errors are the largest of the family, of sum, scores and
maps; ratios the median. Differential attention (`vit_dlittle`, `vit_dwee`, `vit_dpwee`) subtracts two maps
of the same values; each of the two is a layer here, with heads and source tokens of its own."""


def _totals(rows: pd.DataFrame) -> pd.DataFrame:
    out = []
    for library, own in [*rows.groupby("library"), ("both", rows)]:
        counts = [int((own["verdict"] == v).sum()) for v in VERDICTS]
        shares = [f"{c} ({_percent(c, len(own))})" for c in counts]
        silent = int(((own["verdict"] == "exact") & (own["silent"] > 0)).sum())
        sizes = [_most(own, c) for c in ("error64", "maps_error64", "error32")]
        out.append([library, len(own), shares[0], silent, *shares[1:], *sizes])
    errors = [f"largest error, {what}" for what in ("float64", "maps in float64", "float32")]
    return pd.DataFrame(
        out, columns=["library", "names", "exact", "of these with silent layers", *VERDICTS[1:], *errors]
    )


def _silent(rows: pd.DataFrame) -> pd.DataFrame:
    some = rows[(rows["verdict"] == "exact") & (rows["silent"] > 0)]
    out = []
    for family, own in some.assign(family=some["family"].map(_short)).groupby("family"):
        out.append([family, len(own), _sum(own, "layers"), _sum(own, "reached"), _sum(own, "silent")])
    return pd.DataFrame(out, columns=["family", "names", "attention layers", "reached", "silent"])


def _bare(rows: pd.DataFrame) -> pd.DataFrame:
    whole = rows["verdict"] == "no attention"
    said = rows["verdict"].where(~whole, "the sum is exact, its parts are whole branches")
    out = rows.assign(said=said)[["name", "said", "parts", "error64"]]
    out["parts"] = [f"{p:.0f}" if p > 0 else "" for p in out["parts"]]
    out["error64"] = out["error64"].map(_small)
    return out.set_axis(["name", "found", "parts", "error, float64"], axis=1)


def _families(rows: pd.DataFrame) -> pd.DataFrame:
    out = []
    for family, own in rows.assign(family=rows["family"].map(_short)).groupby("family"):
        counts = [int((own["verdict"] == v).sum()) or "" for v in VERDICTS]
        reached = f"{_sum(own, 'reached')}/{_sum(own, 'layers')}"
        silent = _sum(own, "silent") or ""
        identities = own[["error64", "scores_error64", "maps_error64"]].max().max()
        out.append([
            family, len(own), *counts, reached, silent, _sum(own, "tokens"),
            _small(identities), _most(own, "error32"),
            _middle(own, "scores_ratio"), _middle(own, "vectors_ratio"),
        ])  # fmt: skip
    heads = ["attention", "silent", "places", "error, float64", "error, float32", "scores ×", "vectors ×"]
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
    """AnyModel whose mixers have no softmax of queries and keys."""
    whole = rows["verdict"].isin(WHOLE)
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
    counts = (
        "reached",
        "silent",
        "layers",
        "nonzero",
        "parts",
        "heads",
        "tokens",
        "refused_maps",
        "parameters",
    )
    numbers = {c: "Int64" for c in counts}
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
