"""What a notebook shows of a report where there is one, and the sentence where there is none."""

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

from kit.errors import KitError, nearest
from kit.figures import Figure
from kit.sweep.reading import read_report
from kit.sweep.stages import STAGES

PLACE = "runs/paper1"
VARIABLE = "KIT_REPORT"
NONE = "Not measured here yet: docs/sweep.md has the command."


def find_report() -> Path | None:
    """The folder of a report: what the variable names, else `runs/paper1` here or above; None where none is.

    An empty variable means that none is wanted, whatever lies there.
    """
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE]) if os.environ[VARIABLE] else None
    here = Path.cwd()
    return next((p / PLACE for p in (here, *here.parents) if (p / PLACE / "report.json").is_file()), None)


@dataclass(frozen=True, repr=False)
class Measured:
    """What a report has of one stage; shows itself in a notebook.

    Attributes:
        says: what the figures are of, or why there are none.
        figures: those of the report's page.
    """

    says: str
    figures: tuple[Figure, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([self.says, *(figure.alt for figure in self.figures)])

    def _repr_html_(self) -> str | None:
        if not self.figures:
            return None  # the sentence
        return f"<p>{escape(self.says)}</p>{''.join(figure.section() for figure in self.figures)}"


def measured(stage: str) -> Measured:
    """What a sweep with real data found in one stage, for a notebook.

    Args:
        stage: "ablation", "spans", "cues", "retrieval", "segmentation" or "tokens".

    Raises:
        KitError: no such stage; a report that cannot be read.

    Example:
        >>> os.environ["KIT_REPORT"] = ""
        >>> measured("ablation")
        Not measured here yet: docs/sweep.md has the command.
    """
    stages = {each.name: each for each in STAGES}
    if stage not in stages:
        raise KitError(f'no stage "{stage}"; there are {", ".join(stages)}.{nearest(stage, stages)}')
    folder = find_report()
    if folder is None:
        return Measured(NONE)
    report = read_report(folder)
    entry = report["stages"].get(stage, {"status": "not run", "why": "the report does not have it."})
    model = report["model"]
    about = f"{model['label']}, weights {model['all weights'][:8]}, kit {report['kit']}, {report['date']}."
    if entry["status"] != "done":
        return Measured(f"{about} {entry['status']}: {entry['why']}")
    try:
        return Measured(about, tuple(stages[stage].show(entry["result"])))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as error:
        raise KitError(
            f'the report lacks what the figures of "{stage}" are made of ({error}); make it anew.'
        ) from error
