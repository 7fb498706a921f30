"""The report as one page that needs nothing else: figures, their sentences and numbers, provenance."""

from html import escape
from pathlib import Path

import pandas as pd

from kit.figures import Table
from kit.sweep.stages import STAGES

STYLE = Path(__file__).with_name("report.css")


def page(report: dict) -> str:
    """The HTML of a report."""
    model = report["model"]
    title = escape(f"Loupe sweep: {model['label']}")
    body = [f"<h1>{title}</h1>", _provenance(report).section()]
    if not model["trained"]:
        body.append(
            '<p class="warn"><strong>Untrained.</strong> These are random weights: the page shows that '
            "every experiment runs, and nothing about what a trained model knows.</p>"
        )
    for stage in STAGES:
        entry = report["stages"][stage.name]
        body.append(f'<section id="{stage.name}"><h2>{escape(entry["title"])}</h2>')
        if entry["status"] == "done":
            seconds = f"in {entry['seconds']:,.0f} seconds"
            body.append(f"<p>Notebook {entry['notebook']}. Made on {entry['date']} {seconds}.</p>")
            body += [figure.section() for figure in stage.show(entry["result"])]
            body.append(_published([row for row in report["published"] if row["stage"] == stage.name]))
        else:
            why = escape(entry["why"])
            body.append(f'<p class="warn"><strong>{escape(entry["status"])}:</strong> {why}</p>')
        body.append("</section>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _provenance(report: dict) -> Table:
    """Model, weights, data, seed, version and date."""
    model, settings = report["model"], report["settings"]
    rows = {
        "model": f"{model['label']}, {model['pretrained'] or 'shipped'}",
        "weights (sha256)": f"image tower {model['weights']}, all {model['all weights']}",
        "settings": ", ".join(f"{key} {value}" for key, value in settings.items() if value is not None),
        "kit": report["kit"],
        "date": report["date"],
    }
    for name, data in report["data"].items():
        read = "" if data["read"] in (None, data["images"]) else f", {data['read']:,} of them could be read"
        rows[name] = f"{data['name']}, {data['images']:,} images{read}; digest {data['digest']}. "
        rows[name] += " ".join(data["notes"])
    if model["notes"]:
        rows["note"] = " ".join(model["notes"])
    says = (
        "Intervals are 95 %, bootstrap over images, 2,000 draws; changes are paired. All effects are direct: "
        "parts are replaced in the sum, attention patterns, norms and lengths stay."
    )
    return Table(pd.DataFrame(rows.items(), columns=["what", "of this report"]), says=says)


def _published(rows: list[dict]) -> str:
    """What is quoted of the paper for a stage, marked as such."""
    if not rows:
        return ""
    columns = {"what": "what", "value": "published", "checkpoint": "checkpoint"}
    columns |= {"same": "the one measured here", "source": "source"}
    told = [{**r, "value": f"{r['value']} {r['unit']}", "same": "yes" if r["same"] else "no"} for r in rows]
    says = (
        "Quoted by others; the paper's own tables were not read. Only a figure of the same checkpoint on the "
        "whole set can be held against the tables above."
    )
    frame = pd.DataFrame(told)[list(columns)].rename(columns=columns)
    table = Table(frame, title="Published, not measured here", says=says)
    return f'<div class="published">{table.section()}</div>'
