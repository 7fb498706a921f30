"""`python -m tests.golden`: write what today's panels show of every state into panels.json."""

import json
import os
import tempfile
import time
from pathlib import Path

from tests.golden.record import each_shown
from tests.golden.states import PANELS, STATES

FILE = Path(__file__).with_name("panels.json")


def main() -> None:
    """Make every panel, show every state, and write the file; a state is a line."""
    panels = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in PANELS.items():
            start = time.monotonic()
            lines = [
                f"{json.dumps(state)}: {json.dumps(found.as_json(), ensure_ascii=False)}"
                for state, found in each_shown(make, STATES[name], Path(folder))
            ]
            panels.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
            print(f"{name}: {time.monotonic() - start:.1f} s")
    part = FILE.with_suffix(".part")
    part.write_text("{\n" + ",\n".join(panels) + "\n}\n", encoding="utf-8", newline="\n")
    os.replace(part, FILE)
    print(f"{FILE.name}: {FILE.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
