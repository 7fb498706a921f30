"""A whole sweep: every stage in turn, and the report of them all."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tqdm.auto import tqdm

from kit.errors import KitError
from kit.models.model import Model
from kit.sweep.estimate import estimate
from kit.sweep.page import page
from kit.sweep.published import published
from kit.sweep.settings import Settings, kit_version
from kit.sweep.stages import SCHEMA, STAGES, make, other_weights
from kit.sweep.work import Work
from kit.writing import make_folder, write_file

REPORT, PAGE = "report.json", "report.html"


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        report: the content of `report.json`.
        folder: where it lies, beside `report.html`, stores and texts.
    """

    report: dict = field(repr=False)
    folder: Path

    @property
    def failed(self) -> list[str]:
        """Names of the stages that failed."""
        return [name for name, stage in self.report["stages"].items() if stage["status"] == "failed"]


def sweep(
    model: Model,
    out: str | Path,
    imagenet: str | Path | None = None,
    waterbirds: str | Path | None = None,
    segmentation: str | Path | None = None,
    settings: Settings | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Sweep:
    """Everything of notebooks 11 to 16 on the data sets that are given.

    What an earlier sweep into the same folder found for the same model, weights, images, settings and kit
    is taken over; a pass that was killed goes on. A stage that fails does not stop the others.

    Args:
        model: from `kit.load`, with heads and a text tower.
        out: folder of everything that is written.
        imagenet: folder of ImageNet, see `kit.data.read_imagenet`.
        waterbirds: folder of Waterbirds, see `kit.data.read_waterbirds`.
        segmentation: file of ImageNet-Segmentation.
        settings: see `Settings`; None is the paper's.
        say: is given lines on what is about to happen.

    Returns:
        `Sweep`.

    Raises:
        KitError: no set, a folder that is not that set, a model without texts or heads, a shared pass.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916; see each stage for what is done otherwise.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise KitError("a sweep is one process; run it without torchrun.")
    folders = {"imagenet": imagenet, "waterbirds": waterbirds, "segmentation": segmentation}
    work = Work(model, Path(out), folders, settings or Settings())
    for line in _before(work):
        say(line)
    silent = "TQDM_DISABLE" in os.environ
    stages = {}
    for stage in tqdm(STAGES, desc="stages", unit="stage", disable=silent):
        stages[stage.name] = make(stage, work)
        say(_outcome(stages[stage.name]))
    report = _report(work, stages)
    make_folder(work.out)
    text = json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    for name, found in ((REPORT, text), (PAGE, page(report))):  # names of files may be no text
        write_file(work.out / name, found.encode("utf-8", "backslashreplace"))
    return Sweep(report, work.out)


def _before(work: Work) -> list[str]:
    """What is said before the first stage."""
    lines = [f"{work.model.label}, weights {work.texts.hash[:8]}, on {work.model.device}."]
    for images in work.sets.values():
        lines += [f"{images.name}: {note}" for note in images.notes]
    if other := other_weights(work):
        lines.append(
            f"The folder holds results of weights {other[:8]}, but the model now has {work.texts.hash[:8]}; "
            "everything is measured anew, and the old stores stay until you delete them."
        )
    return lines + estimate(work).lines()


def _outcome(entry: dict) -> str:
    """A stage's status in a line."""
    took = f" ({entry['seconds']:.0f} s)" if entry["status"] == "done" else f": {entry['why']}"
    return f"{entry['title']}: {entry['status']}{took}"


def _report(work: Work, stages: dict) -> dict:
    """The content of report.json."""
    model = work.model
    stores = {}
    for name in filter(work.has_store, work.sets):
        with suppress(KitError):  # one that is damaged: the stages that use it say so
            stores[name] = work.store(name)
    data = {
        name: {
            "name": images.name,
            "digest": images.digest,
            "images": len(images),
            "read": len(stores[name]) if name in stores else None,
            "notes": list(images.notes),
        }
        for name, images in work.sets.items()
    }
    return {
        "schema": SCHEMA,
        "kit": kit_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "model": {
            "name": model.name,
            "label": model.label,
            "pretrained": _file_name(model.pretrained),
            "trained": model.trained,
            "weights": model.weights_hash,
            "all weights": work.texts.hash,
            "layers": model.layers,
            "heads": list(model.heads),
            "embed_dim": model.embed_dim,
            "image_size": list(model.image_size),
            "notes": list(model.notes),
        },
        "settings": work.settings.plain(),
        "data": data,
        "stages": stages,
        "published": published(model.name, model.pretrained),
    }


def _file_name(pretrained: str | None) -> str | None:
    """A tag as it is, and of a file its name: a report tells no place on this machine."""
    return None if pretrained is None else Path(pretrained).name
