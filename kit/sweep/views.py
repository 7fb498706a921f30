"""How each stage looks on the page: its tables and charts, from its JSON alone."""

from html import escape

from kit.sweep import svg
from kit.sweep.ablation import CROSSED, OWN
from kit.sweep.parts_of_page import (
    chart,
    colour_bar,
    faint,
    heading,
    paragraph,
    percent,
    points,
    table,
    warning,
)

ENDS = ("low", "high")


def of_ablation(result: dict, report: dict) -> list[str]:
    """Table 1 and figure 2."""
    crossed, own = (result["tables"][whose] for whose in (CROSSED, OWN))
    head = ["replaced by its mean", f"accuracy, %: {CROSSED}", "change, points", f"change: {OWN}"]
    same = {row["name"]: row for row in own["table"]}
    rows = [[r["name"], percent(r), points(r), points(same[r["name"]])] for r in crossed["table"]]
    found = [
        heading("Table 1"),
        paragraph(f"{result['images']:,} images, {result['candidates']:,} candidates."),
        table(head, rows),
    ]
    if result["no class token"]:
        found.append(faint("This tower has no class token that heads read."))
    value = crossed["table"][0]["value"]
    line = {f"as it is {100 * value:.1f}": value}
    kinds = {kind: crossed[kind] for kind in ("layers 0 to l", "layers l to last")}
    places = [str(n) for n in range(result["layers"])]
    every = kinds["layers 0 to l"][-1]
    alt = f"Accuracy with attention replaced, by layer; with that of all layers {percent(every)} %."
    drawing = svg.curves(kinds, places, "layer l", "accuracy, %", alt, line)
    caption = f"Attention of these layers replaced by its mean ({CROSSED}); MLPs stay."
    return [*found, heading("Figure 2, and its complement"), chart(drawing, caption)]


def of_spans(result: dict, report: dict) -> list[str]:
    """Figure 3 and the table of heads."""
    counts, accuracy = [str(m) for m in result["counts"]], result["accuracy"]
    lines = {f"{row['name']} {100 * row['value']:.1f}": row["value"] for row in result["baselines"]}
    said = ", ".join(f"{bank} {percent(rows[-1])} %" for bank, rows in accuracy.items())
    alt = f"Accuracy by number of texts. With {counts[-1]} texts: {said}."
    curve = svg.curves(accuracy, counts, "texts for each head", "accuracy, %", alt, lines)
    explained = {b: [{"value": row["share"]} for row in rows] for b, rows in result["explained"].items()}
    said = ", ".join(f"{bank} {100 * rows[-1]['value']:.0f} %" for bank, rows in explained.items())
    alt = f"Variance of a head that its texts explain. With {counts[-1]} texts: {said}."
    shares = svg.curves(explained, counts, "texts for each head", "share of variance, %", alt)
    note = (
        f"{result['images']:,} images, {result['candidates']:,} candidates. Heads {result['heads']} hold "
        "nothing but what their texts span; earlier heads are replaced by their means; MLPs stay. Texts and "
        "means are of the half of the images that is not answered."
    )
    rows = [[r["name"], percent(r), points(r)] for r in result["baselines"]]
    gaps = [
        [bank, *(points(r, "value", ENDS).replace(" [", "\n[", 1) for r in own)]
        for bank, own in result["minus random"].items()
    ]
    return [
        heading("Figure 3"),
        paragraph(note),
        '<div class="pair">',
        chart(curve, "Accuracy."),
        chart(shares, "Variance of a head that its texts explain, mean over heads, texts of all images."),
        "</div>",
        table(["baseline", "accuracy, %", "change, points"], rows),
        heading("Accuracy minus that of random directions, points, paired"),
        table(["bank", *(f"{m} texts" for m in counts)], gaps),
        *_said(result),
    ]


def _said(result: dict) -> list[str]:
    """What each head says."""
    head = ["head", "first texts", "told most often", "20 texts explain, %", "margin of the first"]
    rows = [
        [
            one["part"],
            "; ".join(one["texts"]),
            f"{one['property']} ({one['telling']} of {one['read']})",
            f"{100 * one['explained']:.0f}",
            f"{one['margin']:.2f}",
        ]
        for one in result["said"]
    ]
    note = (
        f"Bank: {result['bank of the table']}. A head always gets a text: a small share or margin means that "
        "it is hardly about it."
    )
    return [heading("What each head says (table 2)"), faint(note), table(head, rows, 3)]


def of_cues(result: dict, report: dict) -> list[str]:
    """Groups before and after each edit, random heads, the choice."""
    before, choice = {row["name"]: row for row in result["before"]}, result["choice"]
    rows = [[r["name"], f"{r['images']:,}", percent(r, "accuracy")] for r in result["before"]]
    found = [
        paragraph(
            f"{result['images']:,} images, {' and '.join(result['classes'])} by the 80 templates; means over "
            f"{result['means']}."
        ),
        heading("Nothing replaced"),
        table(["figure", "images", "accuracy, %"], rows),
        paragraph(
            f"Chosen by effect on {choice['images']:,} validation images: {len(choice['candidates'])} heads "
            "carry the place beyond chance and more of it than of the class; of these, the first ones that "
            "help the worst group there. With places dealt anew within each class some head is found in "
            f"{choice['shuffles with a head']} of {choice['shuffles']} shuffles."
        ),
    ]
    if "chosen by effect" not in result["sets"]:
        found.append(warning("No head was chosen by its effect: none passes, or none helps."))
    for name, one in result["sets"].items():
        found += _set(name, one, before)
    top = [
        [r["part"], f"{r['cue']:+.4f} ± {r['error']:.4f}", f"{r['class']:+.4f}", _yes(r["significant"])]
        for r in choice["top"]
    ]
    return [
        *found,
        heading("The ten heads in which the place most outweighs the class"),
        faint("Effects on the cosine with waterbird minus that with landbird; ± one standard error."),
        table(["head", "place", "class", "place beyond chance"], top),
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _set(name: str, one: dict, before: dict) -> list[str]:
    """One set of heads and the edits made with it."""
    edits = one["edits"]
    rows = [
        [
            row["name"],
            percent(before[row["name"]], "accuracy"),
            *(f"{percent(e[n], 'accuracy')}\n{100 * e[n]['change']:+.1f}" for e in edits.values()),
        ]
        for n, row in enumerate(next(iter(edits.values())))
    ]
    head = ["figure", "before, %", *(f"{edit}, %" for edit in edits)]
    worst = {"nothing replaced": before["worst group"]}
    worst |= {edit: next(r for r in e if r["name"] == "worst group") for edit, e in edits.items()}
    bars = [{"name": edit, "value": w["accuracy"], **{k: w[k] for k in ENDS}} for edit, w in worst.items()]
    random, ticks, said = one["random"], [], ""
    if "worst" in random:
        drawn = sorted(random["worst"]["random heads"])
        bound = drawn[int(0.95 * (len(drawn) - 1))]
        ticks = [(bound, f"95 % of {len(drawn)} random sets of heads like these end below")]
        said = "; ".join(f"{kind} {points(v, 'value', ENDS)}" for kind, v in random["over"].items())
        said = f"Worst group with the heads off minus the 95 % quantile of random sets, points: {said}."
    alt = "Worst group: " + ", ".join(f"{b['name']} {percent(b)} %" for b in bars) + "."
    means = "; ".join(f"{w['means']}: {percent(w, 'accuracy')}" for w in one["whose means"])
    return [
        heading(f"{name[0].upper() + name[1:]}: {', '.join(one['heads'])}"),
        faint("In each cell the accuracy with its interval, below it the change in points."),
        table(head, rows),
        chart(svg.bars(bars, "accuracy of the worst group, %", alt, ticks), "Worst group after each edit."),
        paragraph(said or f"No random sets: {random['why not']}"),
        faint(f"Worst group, %, by whose means stand in for the heads: {means}."),
    ]


def of_retrieval(result: dict, report: dict) -> list[str]:
    """Precision in the space of a head, and beside it."""
    found = [
        paragraph(
            f"{result['images']:,} test images of Waterbirds: share of the {result['nearest']} nearest that "
            "have the query's label. The head of a label is chosen on one half, figures are of the other."
        )
    ]
    for how, table_ in result["tables"].items():
        rows = [
            [r["attribute"], r["space"], r["part"], percent(r), points(r), f"{100 * r['chance']:.1f}"]
            for r in table_
        ]
        head = ["label", "space", "which", "precision, %", "minus the full model, points", "chance, %"]
        found += [heading(f"{how[0].upper()}{how[1:]} cosine"), table(head, rows, 3)]
    return found


def of_segmentation(result: dict, report: dict) -> list[str]:
    """Figures of each method on the same images."""
    rows = [
        [
            r["name"],
            f"{100 * r['pixel accuracy']:.2f}",
            percent(r, "mIoU", ("mIoU_low", "mIoU_high")),
            f"{100 * r['mAP']:.2f}",
            points(r, "ahead", ("ahead_low", "ahead_high")),
        ]
        for r in result["table"]
    ]
    head = ["method", "pixel accuracy, %", "mIoU, %", "mAP, %", "token heatmap ahead in mIoU, points"]
    note = (
        f"{result['images']:,} images ({result['skipped']} could not be read), {result['candidates']:,} "
        "classes to answer; every map goes the same way to a mask, and true masks through the same crop."
    )
    bars = [
        {"name": r["name"], "value": r["mIoU"], "low": r["mIoU_low"], "high": r["mIoU_high"]}
        for r in result["table"]
    ]
    alt = "mIoU: " + ", ".join(f"{b['name']} {percent(b)} %" for b in bars) + "."
    return [paragraph(note), table(head, rows), chart(svg.bars(bars, "mIoU, %", alt), "mIoU by method.")]


def of_tokens(result: dict, report: dict) -> list[str]:
    """Pictures with the maps of a few heads."""
    heads, pictures = result["heads"], result["pictures"]
    rows = [[p["class"], *(f"{value:+.4f}" for value in own)] for p, own in zip(pictures, result["scores"])]
    names = "; ".join(f"{h['part']}: “{h['text']}”" for h in heads)
    alt = f"{len(pictures)} pictures ({', '.join(p['class'] for p in pictures)}) beside maps of {names}."
    image = f'<img src="data:image/png;base64,{escape(result["png"])}" alt="{escape(alt)}">'
    caption = (
        f"From left to right: the picture as the model saw it, then {names}. Red patches add to the text, "
        f"blue ones take away; one scale for all maps, its ends are ±{result['limit']:.2g} of a cosine."
    )
    head = ["picture", *(f"{h['part']}: {h['text']}" for h in heads)]
    return [
        faint(f"Bank: {result['bank']}. Of each property the head whose first text explains most of it."),
        chart(image + colour_bar(f"-{result['limit']:.2g}", "0", f"+{result['limit']:.2g}"), caption),
        heading("What each head adds to the cosine, over all tokens"),
        table(head, rows),
    ]


VIEWS = {
    "ablation": of_ablation,
    "spans": of_spans,
    "cues": of_cues,
    "retrieval": of_retrieval,
    "segmentation": of_segmentation,
    "tokens": of_tokens,
}
