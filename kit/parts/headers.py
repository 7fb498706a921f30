"""Small files of facts in JSON, each with its format and a digest of itself."""

import hashlib
import json
from pathlib import Path

from kit.errors import KitError, shown
from kit.writing import write_file


def write_facts(path: Path, kind: str, facts: dict) -> None:
    """Write facts, with the version of their format and their digest."""
    write_file(path, signed(kind, facts))


def signed(kind: str, facts: dict) -> str:
    """Facts as JSON, with the version of their format and their digest."""
    facts = {"format": format_of(kind), **facts}
    return json.dumps(facts | {"digest": _digest(facts)})


def is_whole(facts: dict) -> bool:
    """Whether facts are as they were signed; their digest is taken out."""
    return facts.pop("digest", None) == _digest(facts)


def read_facts(path: Path, kind: str, what: str, to_do: str) -> dict:
    """Facts that `write_facts` wrote.

    Args:
        path: the file.
        kind: of facts, as it was written.
        what: it should be, for the message.
        to_do: where it is not.

    Raises:
        KitError: it cannot be read, is something else, of another version of the kit, or was changed since.
    """
    named = f'"{shown(path)}"'
    try:
        facts = json.loads(path.read_bytes())
    except OSError as error:
        raise KitError(f"{named} cannot be read ({error.strerror}); {to_do}.") from error
    except (ValueError, RecursionError):
        facts = None
    found = facts.get("format") if isinstance(facts, dict) else None
    if not str(found).startswith(f"loupe-{kind}-"):
        raise KitError(f"{named} is not {what}, or is damaged; {to_do}.")
    if found != format_of(kind):
        raise KitError(
            f'{named} was written by another version of the kit, as "{shown(found, 60)}", and this one reads '
            f'"{format_of(kind)}", which keeps digests; make it again: {to_do}.'
        )
    if not is_whole(facts):
        raise KitError(f"{named} is damaged: it is not as it was written; {to_do}.")
    return facts


def format_of(kind: str) -> str:
    """Name and version of a format."""
    return f"loupe-{kind}-2"


def _digest(facts: dict) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
