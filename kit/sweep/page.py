"""The report as one page that needs nothing else: tables, charts, provenance."""

from html import escape
from pathlib import Path

from kit.sweep.views import VIEWS

STYLE = Path(__file__).with_name("report.css")


def page(report: dict) -> str:
    """The HTML of a report."""
    model = report["model"]
    body = [f"<h1>Loupe sweep: {escape(model['label'])}</h1>", _provenance(report)]
    if not model["trained"]:
        body.append(
            '<p class="warn"><strong>Untrained.</strong> These are random weights: the page shows that '
            "every experiment runs, and nothing about what a trained model knows.</p>"
        )
    for name, stage in report["stages"].items():
        body.append(f'<section id="{escape(name)}"><h2>{escape(stage["title"])}</h2>')
        body.append(_status(stage))
        if stage["status"] == "done":
            body += VIEWS[name](stage["result"], report)
            body.append(_published(name, report["published"]))
        body.append("</section>")
    title = f"Loupe sweep of {model['label']}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _status(stage: dict) -> str:
    """A line on what became of a stage."""
    if stage["status"] == "done":
        said = f"Notebook {stage['notebook']}. Made on {stage['date']} in {stage['seconds']:,.0f} seconds."
        return f'<p class="faint">{escape(said)}</p>'
    return f'<p class="warn"><strong>{escape(stage["status"])}:</strong> {escape(stage["why"])}</p>'


def _provenance(report: dict) -> str:
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
    for note in model["notes"]:
        rows["note"] = f"{rows.get('note', '')} {note}".strip()
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items())
    text = (
        "Intervals are 95 %, bootstrap over images, 2,000 draws; changes are paired. All effects are direct: "
        "parts are replaced in the sum, attention patterns, norms and lengths stay."
    )
    return f'<table class="facts">{cells}</table><p class="faint">{text}</p>'


def _published(name: str, rows: list[dict]) -> str:
    """What is quoted of the paper for a stage, marked as such."""
    rows = [row for row in rows if row["stage"] == name]
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td>{escape(row['what'])}</td><td>{escape(str(row['value']))} {escape(row['unit'])}</td>"
        f"<td>{escape(row['checkpoint'])}</td><td>{'yes' if row['same'] else 'no'}</td>"
        f"<td>{escape(row['source'])}</td></tr>"
        for row in rows
    )
    return (
        '<div class="published"><h3>Published, not measured here</h3><p class="faint">Quoted by others; the '
        "paper's own tables were not read. Only a figure of the same checkpoint on the whole set can be held "
        "against the tables above.</p><table><tr><th>what</th><th>published</th><th>checkpoint</th>"
        f"<th>the one measured here</th><th>source</th></tr>{lines}</table></div>"
    )
