"""Reports that were written by a sweep, or by anybody: read with no trust."""

import json
import os
from pathlib import Path

from kit.errors import KitError

SCHEMA = "loupe-sweep-1"
MOST = 64 << 20  # bytes of a report
STATUS = ("done", "failed", "not run")
SHAPE = {
    "kit": str, "date": str, "model": dict, "settings": dict, "data": dict, "stages": dict, "published": list,
}  # fmt: skip
MODEL = {"name": str, "label": str, "trained": bool, "weights": str, "all weights": str, "layers": int}
PUBLISHED = {"stage": str, "what": str, "source": str, "checkpoint": str, "unit": str, "same": bool}


def read_report(folder: str | Path) -> dict:
    """The report of a sweep, checked.

    Args:
        folder: where `loupe sweep --out` wrote, or the file itself.

    Returns:
        The content of `report.json`: `model`, `data`, `settings`, `kit`, `date`, `published`, and `stages`,
        name -> `status` ("done", "failed", "not run") with `result`, or `why`.

    Raises:
        KitError: no report there, one of another schema, or one that is not as a sweep writes it.

    Example:
        >>> read_report("runs/nothing")
        Traceback (most recent call last):
        ...
        kit.errors.KitError: there is no report at "runs/nothing"; make one with `loupe sweep`.
    """
    path = Path(os.fspath(folder))
    path = path / "report.json" if path.is_dir() else path
    if not path.is_file():
        raise KitError(f'there is no report at "{folder}"; make one with `loupe sweep`.')
    if path.stat().st_size > MOST:
        raise KitError(f'"{path.name}" has {path.stat().st_size >> 20} MiB, more than a sweep writes.')
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise KitError(f'"{path.name}" is no JSON that can be read ({error}); make it anew.') from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        said = found.get("schema") if isinstance(found, dict) else type(found).__name__
        raise KitError(f'"{path.name}" has the schema "{said!s:.40}", not "{SCHEMA}"; make it with this kit.')
    check(found, SHAPE, "the report")
    check(found["model"], MODEL, "its model")
    for row in found["published"]:
        check(row, PUBLISHED, "a published figure")
    for name, stage in found["stages"].items():
        check(stage, {"status": str, "title": str, "notebook": int}, f'the stage "{name:.40}"')
        if stage["status"] not in STATUS:
            raise KitError(f'the stage "{name:.40}" has the status "{stage["status"]:.40}"; make it anew.')
        done = stage["status"] == "done"
        check(stage, {"result": dict, "date": str} if done else {"why": str}, f'the stage "{name:.40}"')
    return found


def check(found, shape: dict[str, type], what: str) -> None:
    """Raise unless a JSON object has these keys with values of these types."""
    if not isinstance(found, dict):
        raise KitError(f"{what} should be an object, but is {type(found).__name__}; make the report anew.")
    for key, kind in shape.items():
        value = found.get(key)
        wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        if wrong:
            raise KitError(
                f'{what} has "{key}" of the type {type(value).__name__}, which should be {kind.__name__}; '
                "make the report anew with `loupe sweep`."
            )


def _refused(word: str):
    raise ValueError(f"{word} is no number")
