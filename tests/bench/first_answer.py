"""From the start of a kernel to the first parts, and what that time is made of.

`python -m tests.bench.first_answer` writes docs/bench/first_answer.md; times with nothing else running.
"""

import argparse
import json
import os
import tempfile
import time

from jupyter_client.manager import start_new_kernel
from tqdm import tqdm

from tests.bench.harness import save, settings

MODELS = (
    "stickers-l8",
    "stickers-swin",
    "stickers-maxvit",
    "timm/swin_tiny_patch4_window7_224",
    "timm/maxvit_tiny_tf_224",
)
# what a kernel does, step by step: wall and processor seconds of each
STEPS = """
import json, time
seconds, last = {}, [time.perf_counter(), time.process_time()]
def done(what):
    now = [time.perf_counter(), time.process_time()]
    seconds[what] = [n - l for n, l in zip(now, last)]
    last[:] = [time.perf_counter(), time.process_time()]
import torch
torch.set_num_threads(1)
done("import torch")
import torchvision, timm, open_clip, pandas
done("import timm, open_clip, pandas")
import kit, kit.models.kept, kit.models.trace, kit.parts.frozen, kit.parts.checked, kit.parts.hook_points
done("import kit")
model = kit.load(NAME, *(["random"] if "/" in NAME else []))
done("load")
from PIL import Image
pixels = model.preprocess(Image.linear_gradient("L"))
done("picture")
def timed(what, holder, name):
    real = getattr(holder, name)
    def call(*args, **kwargs):
        start = [time.perf_counter(), time.process_time()]
        try:
            return real(*args, **kwargs)
        finally:
            took = [n - s for n, s in zip([time.perf_counter(), time.process_time()], start)]
            seconds[what] = [a + b for a, b in zip(seconds.get(what, [0, 0]), took)]
    setattr(holder, name, call)
timed("record", kit.models.trace, "_export")
timed("proof", kit.models.kept.Kept, "_is_true")
timed("graph", kit.models.trace, "Trace")
timed("graph", kit.parts.frozen, "FrozenGraph")
timed("readers", kit.parts.frozen, "reading")
timed("hook_points", kit.parts.hook_points, "_insert")
timed("check", kit.parts.checked, "fault_of")
last[:] = [time.perf_counter(), time.process_time()]
values = kit.decompose(model, pixels).values
done("first parts")
print(json.dumps(seconds))
"""
COLUMNS = ("record", "proof", "graph", "readers", "hook_points", "check")


def in_kernel(name: str, folder: str) -> dict[str, list[float]]:
    """Seconds of every step in a kernel of its own, wall and processor; all of them are its `total`."""
    begin = time.perf_counter()
    env = os.environ | {"OMP_NUM_THREADS": "1", "KIT_CACHE": folder, "TQDM_DISABLE": "1"}
    manager, client = start_new_kernel(env=env)
    try:
        ready, said = time.perf_counter() - begin, []
        reply = client.execute_interactive(f"NAME = {name!r}\n{STEPS}", timeout=600, output_hook=said.append)
        total = time.perf_counter() - begin
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["content"]["status"] != "ok":
        raise RuntimeError("\n".join(reply["content"]["traceback"]))
    text = "".join(m["content"].get("text", "") for m in said if m["header"]["msg_type"] == "stream")
    found = json.loads(text.strip().splitlines()[-1])
    return {"kernel": [ready, 0.0], **found, "total": [total, 0.0]}


def fastest(runs: list[dict[str, list[float]]], what: str, clock: int = 0) -> float:
    return min(run.get(what, [0.0, 0.0])[clock] for run in runs)


def measure(names: tuple[str, ...], rounds: int) -> str:
    """Two tables: a kernel from its start, and the first parts alone."""
    whole, parts = [], []
    with tempfile.TemporaryDirectory() as folder:
        first = {name: in_kernel(name, folder) for name in tqdm(names, desc="recording", unit="model")}
        bar = tqdm(total=rounds * len(names), desc="kept", unit="kernel")
        runs: dict[str, list] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                runs[name].append(in_kernel(name, folder))
                bar.update()
    steps = [*list(first[names[0]])[:6], "first parts", "total"]
    for name in names:
        times = " | ".join(f"{fastest(runs[name], step):.2f}" for step in steps)
        whole.append(f"| {name} | {times} | {first[name]['total'][0]:.1f} |")
        own = {c: fastest(runs[name], c, 1) for c in COLUMNS}
        own["record"] -= own["proof"]
        times = " | ".join(f"{own[c]:.3f}" for c in COLUMNS)
        sums = " | ".join(f"{fastest(runs[name], 'first parts', clock):.2f}" for clock in (0, 1))
        once = " | ".join(f"{first[name]['first parts'][clock]:.1f}" for clock in (0, 1))
        parts.append(f"| {name} | {sums} | {times} | {once} |")
    facts = settings(rounds=rounds) | {"threads": 1}
    said = ", ".join(f"{key} {value}" for key, value in facts.items())
    heads = [
        ["model", *steps, "total, nothing kept"],
        ["model", "first parts", "processor", *COLUMNS, "nothing kept", "its processor"],
    ]
    lines = [["| " + " | ".join(head) + " |", "|---" * len(head) + "|"] for head in heads]
    return "\n".join(
        [
            "## Seconds from the start of a kernel to the first parts",
            "",
            f"{said[:1].upper()}{said[1:]}. Fastest of the rounds, each in a kernel of its own.",
            "",
            *lines[0],
            *whole,
            "",
            "## First parts after `load`",
            "",
            "*Record*: the kept record is found, read and made a graph. *Proof*: the graph and the library's "
            "own module see one picture of noise, and every value is compared with its foretold shape. "
            "*Graph*: attention and what is linear. *Readers*: how the representation reads each layer. "
            "*HookPoints*: the graph with a hand on every source. *Check*: the library's own output for this "
            "picture. The rest is the pass itself. All six are seconds of the processor, since others "
            "lengthen those of the clock. *Nothing kept*: the tower is recorded first.",
            "",
            *lines[1],
            *parts,
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write docs/bench/first_answer.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    table = measure(tuple(chosen.models), chosen.rounds)
    print(table)
    if not chosen.dry:
        save("first_answer", [table])


if __name__ == "__main__":
    main()
