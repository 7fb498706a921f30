"""What a notebook shows of a report where there is one, and the sentence where there is none."""

import os
from pathlib import Path

import pandas as pd

from kit.errors import KitError, nearest
from kit.sweep.ablation import CROSSED
from kit.sweep.reading import number, read_report

PLACE = "runs/paper1"
VARIABLE = "KIT_REPORT"
NONE = "No sweep with a real checkpoint is at hand, so nothing is shown; docs/sweep.md says how to make one."


def find_report() -> Path | None:
    """The folder of a report: what the variable names, else `runs/paper1` here or above; None where none is.

    An empty variable means that none is wanted, whatever lies there.
    """
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE]) if os.environ[VARIABLE] else None
    here = Path.cwd()
    return next((p / PLACE for p in (here, *here.parents) if (p / PLACE / "report.json").is_file()), None)


class Measured:
    """A table of a report, with what it is of; shows itself in a notebook.

    Attributes:
        table: None where there is no report.
        says: what it is of, or why there is none.
    """

    def __init__(self, table: pd.DataFrame | None, says: str):
        self.table, self.says = table, says

    def __repr__(self) -> str:
        return self.says if self.table is None else f"{self.says}\n{self.table}"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(self.says)}</p>{'' if self.table is None else self.table.to_html()}"


def measured(stage: str) -> Measured:
    """What a sweep with real data found in one stage, for a notebook.

    Args:
        stage: "ablation", "spans", "cues", "retrieval", "segmentation" or "tokens".

    Raises:
        KitError: no such stage; a report that cannot be read.

    Example:
        >>> os.environ["KIT_REPORT"] = ""
        >>> measured("ablation").table is None
        True
    """
    if stage not in TABLES:
        raise KitError(f'no stage "{stage}"; there are {", ".join(TABLES)}.{nearest(stage, TABLES)}')
    folder = find_report()
    if folder is None:
        return Measured(None, NONE)
    report = read_report(folder)
    entry = report["stages"].get(stage, {"status": "not run", "why": "the report does not have it."})
    model = report["model"]
    about = f"{model['label']}, weights {model['all weights'][:8]}, kit {report['kit']}, {report['date']}."
    if entry["status"] != "done":
        return Measured(None, f"{about} {entry['status']}: {entry['why']}")
    try:
        return Measured(TABLES[stage](entry["result"]), about)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise KitError(
            f'the report lacks what the table of "{stage}" is made of ({error}); make it anew.'
        ) from error


def _figure(row: dict, *keys: str) -> str:
    value, low, high = (round(100 * number(row[key]), 1) + 0.0 for key in keys)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _ablation(result: dict) -> pd.DataFrame:
    rows = result["tables"][CROSSED]["table"]
    columns = {
        "accuracy, %": ("value", "low", "high"),
        "change, points": ("change", "change_low", "change_high"),
    }
    return pd.DataFrame(
        {name: [_figure(row, *keys) for row in rows] for name, keys in columns.items()},
        [str(row["name"]) for row in rows],
    )


def _spans(result: dict) -> pd.DataFrame:
    rows = {
        str(bank): {f"{row['texts']} texts": _figure(row, "value", "low", "high") for row in own}
        for bank, own in result["accuracy"].items()
    }
    return pd.DataFrame(rows).T


def _cues(result: dict) -> pd.DataFrame:
    keys, before = ("accuracy", "low", "high"), result["before"]
    found = {"nothing replaced": {row["name"]: _figure(row, *keys) for row in before}}
    for name, one in result["sets"].items():
        for edit, rows in one["edits"].items():
            found[f"{name}: {edit}"] = {row["name"]: _figure(row, *keys) for row in rows}
    return pd.DataFrame(found).T


def _retrieval(result: dict) -> pd.DataFrame:
    rows = result["tables"]["centred"]
    columns = {
        "space": [f"{row['space']}: {row['part']}" for row in rows],
        "precision, %": [_figure(row, "value", "low", "high") for row in rows],
        "minus the full model": [_figure(row, "change", "change_low", "change_high") for row in rows],
    }
    return pd.DataFrame(columns, [str(row["attribute"]) for row in rows])


def _segmentation(result: dict) -> pd.DataFrame:
    found = {
        str(row["name"]): {
            "pixel accuracy, %": f"{100 * number(row['pixel accuracy']):.2f}",
            "mIoU, %": _figure(row, "mIoU", "mIoU_low", "mIoU_high"),
            "mAP, %": f"{100 * number(row['mAP']):.2f}",
        }
        for row in result["table"]
    }
    return pd.DataFrame(found).T


def _tokens(result: dict) -> pd.DataFrame:
    heads = [f"{head['part']}: {head['text']}" for head in result["heads"]]
    values = [[f"{number(value):+.4f}" for value in row] for row in result["scores"]]
    return pd.DataFrame(values, [str(picture["class"]) for picture in result["pictures"]], heads)


TABLES = {made.__name__[1:]: made for made in (_ablation, _spans, _cues, _retrieval, _segmentation, _tokens)}
