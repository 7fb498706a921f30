"""`python -m tests.golden NAMES`: write what today's panels show of every state into panels.json.

Names are those of panels that were changed on purpose; a new panel need not be named. The others stay as they
are held. Without names all are written.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.golden.record import each_shown
from tests.golden.states import PANELS, STATES

FILE = Path(__file__).with_name("panels.json")


def main(names: list[str]) -> None:
    """Make the panels, show every state, and write the file; a state is a line."""
    if unknown := set(names) - PANELS.keys():
        raise SystemExit(f"no panel {min(unknown)}; there are {', '.join(PANELS)}.")
    held, panels = json.loads(FILE.read_text(encoding="utf-8")), []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in PANELS.items():
            if not names or name in names or name not in held:
                start = time.monotonic()
                found = each_shown(make, STATES[name], Path(folder))
                held[name] = {state: shown.as_json() for state, shown in found}
                print(f"{name}: {time.monotonic() - start:.1f} s")
            lines = [f"{json.dumps(s)}: {json.dumps(v, ensure_ascii=False)}" for s, v in held[name].items()]
            panels.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    part = FILE.with_suffix(".part")
    part.write_text("{\n" + ",\n".join(panels) + "\n}\n", encoding="utf-8", newline="\n")
    os.replace(part, FILE)
    print(f"{FILE.name}: {FILE.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
