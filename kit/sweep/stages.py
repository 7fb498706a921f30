"""The experiments of a sweep, and the runner that makes each of them once."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kit.errors import KitError
from kit.figures import Figure
from kit.sweep import ablation, cues, retrieval, segments, spans, tokens
from kit.sweep.settings import kit_version
from kit.sweep.work import Work
from kit.writing import make_folder, write_file

SCHEMA = "loupe-sweep-1"


@dataclass(frozen=True)
class Stage:
    """One experiment.

    Attributes:
        name: of its file, and in the report.
        title: a line for people.
        notebook: number of the notebook that it belongs to.
        needs: data set that it cannot do without.
        uses: sets and splits whose images decide its result.
        run: makes its result, plain JSON.
        show: what is shown of its result.
    """

    name: str
    title: str
    notebook: int
    needs: str
    uses: tuple[str, ...]
    run: Callable[[Work], dict]
    show: Callable[[dict], list[Figure]]


STAGES = (
    Stage(
        "ablation", "Mean ablation (table 1, figure 2)", 11, "imagenet", ("imagenet",),
        ablation.run, ablation.show,
    ),
    Stage(
        "spans", "Texts of the last heads (figure 3, table 2)", 12, "imagenet", ("imagenet",),
        spans.run, spans.show,
    ),
    Stage(
        "cues", "Waterbirds with heads switched off (table 3)", 13, "waterbirds",
        ("imagenet", "waterbirds val", "waterbirds test"), cues.run, cues.show,
    ),
    Stage(
        "retrieval", "Retrieval by head (figure 4)", 14, "waterbirds", ("waterbirds test",),
        retrieval.run, retrieval.show,
    ),
    Stage(
        "segmentation", "Masks from token heatmaps (table 4)", 15, "segmentation", ("segmentation",),
        segments.run, segments.show,
    ),
    Stage("tokens", "Heads and tokens (figure 6)", 16, "imagenet", ("imagenet",), tokens.run, tokens.show),
)  # fmt: skip


def identity(stage: Stage, work: Work) -> dict:
    """What decides the result of a stage: where it is the same, the stage is not run again."""
    return {
        "schema": SCHEMA,
        "kit": kit_version(),
        "model": work.model.name,
        "pretrained": work.model.pretrained,
        "weights": work.model.weights_hash,
        "all weights": work.texts.hash,
        "preprocessing": work.model.preprocessing,
        "data": {name: work.sets[name].digest for name in stage.uses if name in work.sets},
        "settings": work.settings.plain(),
    }


def stage_file(out: Path, stage: Stage) -> Path:
    """Where the result of a stage lies."""
    return out / "stages" / f"{stage.name}.json"


def made(stage: Stage, work: Work) -> dict | None:
    """What an earlier sweep found for the same question; None where there is nothing."""
    try:
        found = json.loads(stage_file(work.out, stage).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(found, dict) and found.get("identity") == identity(stage, work)
    return found if same and found.get("status") == "done" else None


def other_weights(work: Work) -> str:
    """Weights of which an earlier sweep left results in the folder; "" where there are none."""
    for stage in STAGES:
        try:
            found = json.loads(stage_file(work.out, stage).read_text(encoding="utf-8"))["identity"]
            if found["all weights"] != work.texts.hash:
                return str(found["all weights"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ""


def make(stage: Stage, work: Work) -> dict:
    """The entry of a stage in the report: made now, read from an earlier sweep, not run, or failed.

    An error of one stage is kept in its entry, and does not stop the others.
    """
    about = {"title": stage.title, "notebook": stage.notebook}
    if stage.needs not in work.folders:
        return about | {"status": "not run", "why": f"no {stage.needs} data was given (--{stage.needs})."}
    if (earlier := made(stage, work)) is not None:
        return earlier
    start = time.monotonic()
    try:
        result = stage.run(work)
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, MemoryError) as error:
        why = str(error) if isinstance(error, KitError) else f"{type(error).__name__}: {error}"
        return about | {"status": "failed", "why": why}
    entry = about | {
        "status": "done",
        "identity": identity(stage, work),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - start, 1),
        "result": result,
    }
    text = json.dumps(entry, ensure_ascii=False, allow_nan=False, indent=1)
    make_folder(stage_file(work.out, stage).parent)
    write_file(stage_file(work.out, stage), f"{text}\n".encode("utf-8", "backslashreplace"))
    return json.loads(text)
