"""Which image towers can be taken apart, and how well: `python -m tests.bench.coverage`.

Every timm name that contains attention and every image tower of open_clip, up to 400 million parameters,
is built with random weights that sit at no neutral value, and taken apart at a small input. One line for
each is kept in a file, so that the command goes on where it was stopped; the page and the table are
written from it. A tower that takes too long or ends the process it runs in counts as failed.

`--recheck` looks at lines that are there once more, in float64 alone: verdict, layers, errors of sum and
maps. Times and the error in float32 stay as they were measured.
"""

import argparse
import inspect
import json
import multiprocessing as mp
import os
import re
import time
import warnings
from functools import cache
from pathlib import Path
from statistics import median

import torch
from torch import nn
from tqdm.auto import tqdm

import kit
from kit.errors import Refused
from kit.models.load_timm import make_timm
from kit.models.untrained import unsettle
from kit.parts.checked import checked_run
from kit.parts.run_general import GeneralRun
from kit.parts.runs import Run
from kit.parts.splits import SPLITS

LARGEST = 400_000_000
SECONDS = 1200  # for one name, on a machine that may be shared
KEPT = Path("docs") / "coverage.jsonl"
TRUNKS = {"vitamin": "vitamin", "swin": "swin_transformer"}  # files of the general trunks in open_clip
ROUNDS = 3  # of the times, or as many as begin within
ROUNDS_SECONDS = 15
# sizes that are tried in turn; the first one that the network takes is the input
SIZES = (64, 70, 84, 96, 112, 128, 160, 192, 224, 256)

# the last one: CoaT's softmax over the tokens of [batch, head, token, head_dim]
ATTENTION = ("scaled_dot_product_attention(", "softmax(dim=-1", "softmax(attn", "k.softmax(dim=2")
# mixers that weigh no token by a query and a key: linear, additive and lambda layers, and a state-space one
LINEAR = ("LinearSelfAttention", "LambdaLayer", "HSMSSD", "LiteMLA", "EfficientAdditiveAttention")


@cache
def attends(kind: type) -> bool:
    """Whether a module's own code calls attention, or a softmax over tokens."""
    try:
        code = inspect.getsource(kind)
    except (OSError, TypeError):
        return False
    return kind is nn.MultiheadAttention or (
        kind.__name__ != "GlobalContext"  # one weighted mean that scales channels
        and any(call in code for call in ATTENTION)
    )


def towers() -> list[dict]:
    """What is to be examined: name, library, family, and the other names of the same tower."""
    import open_clip
    import timm

    found = [
        {"name": f"timm/{name}", "library": "timm", "family": family, "same": []}
        for family in sorted(timm.list_modules())
        for name in sorted(timm.list_models(module=family))
    ]
    by_tower: dict[str, dict] = {}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision = {k: v for k, v in config["vision_cfg"].items() if k != "timm_model_pretrained"}
        key = json.dumps([vision, config["embed_dim"], config.get("quick_gelu", False)], sort_keys=True)
        if key in by_tower:
            by_tower[key]["same"].append(name)
            continue
        by_tower[key] = {"name": name, "library": "open_clip", "family": _family(vision), "same": []}
    return found + list(by_tower.values())


def _family(vision: dict) -> str:
    if "timm_model_name" in vision:
        return f"timm trunk {vision['timm_model_name']}"
    return "ModifiedResNet" if isinstance(vision["layers"], list) else "VisionTransformer"


def examine(tower: dict) -> dict:
    """One line of the table."""
    start = time.perf_counter()
    row = dict(tower)
    try:
        scope = _scope(tower)
        config = scope.pop("config", None)
        row |= scope
        if "outside" in scope:
            return row | {"verdict": "outside", "reason": scope["outside"]}
        row |= _examined(tower, config)
    except Refused as refusal:
        row |= {"verdict": "refused", "reason": str(refusal)}
    except Exception as error:
        row |= {"verdict": "failed", "reason": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def rechecked(row: dict) -> dict:
    """A line that is there, with what float64 says of it anew; `tower` is that line."""
    start = time.perf_counter()
    try:
        scope = _scope(row)
        config = scope.pop("config", None)
        model = kit.load(row["name"], pretrained="random", config=config, device="cpu")
        unsettle(model.tower)
        model = model.double()
        pixels, direction = (given.double() for given in _given(model))
        found = _in_double(model, pixels, direction)
        found |= scope | {"input": list(model.image_size)} | _counts(checked_run(model, pixels))
        row = {k: v for k, v in row.items() if k != "reason"} | found
    except Refused as refusal:
        row = row | scope | {"verdict": "refused", "reason": str(refusal)}
    except Exception as error:
        row = row | {"verdict": "failed", "reason": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    return row | {"rechecked": round(time.perf_counter() - start, 1)}


def _examined(tower: dict, config: dict | None) -> dict:
    model = kit.load(tower["name"], pretrained="random", config=config, device="cpu")
    unsettle(model.tower)
    return {"input": list(model.image_size)} | measured(model)


def _scope(tower: dict) -> dict:
    """Parameters and the settings for a small input, or why the tower is not examined."""
    if tower["library"] == "open_clip":
        return _open_clip_scope(tower["name"])
    name = tower["name"].removeprefix("timm/")
    module = make_timm(tower["name"], name, {}, meta=True)
    scope = {"parameters": sum(p.numel() for p in module.parameters())}
    kinds = [type(m) for m in module.modules()]
    if not any(map(attends, kinds)):
        scope["linear"] = sum(kind.__name__ in LINEAR for kind in kinds)
        if not scope["linear"]:
            return scope | {"outside": "no attention"}
    if scope["parameters"] > LARGEST:
        return scope | {"outside": "too large"}
    told = ({"img_size": size} for size in SIZES)
    free = ({"pretrained_cfg_overlay": {"input_size": (3, size, size)}} for size in SIZES)
    return scope | {"config": next((c for c in (*told, *free) if _takes(name, c)), None)}


def _open_clip_scope(name: str) -> dict:
    import open_clip

    from kit.models.build import build_open_clip

    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        visual = build_open_clip(config, vision_only=True)
    scope = {"parameters": sum(p.numel() for p in visual.parameters())}
    if not any(attends(type(m)) for m in visual.modules()):
        scope["attention"] = False
    if scope["parameters"] > LARGEST:
        return scope | {"outside": "too large"}
    patch = config["vision_cfg"].get("patch_size")
    small = {"text_cfg": None, "vision_cfg": {"image_size": 4 * patch}} if patch else {"text_cfg": None}
    return scope | {"config": small}


def _takes(name: str, config: dict) -> bool:
    """Whether a timm network can be built with a configuration and passes an input of its size."""
    size = config.get("img_size") or config["pretrained_cfg_overlay"]["input_size"][1]
    try:
        with torch.device("meta"), torch.no_grad():
            make_timm(name, name, config, meta=True).eval()(torch.zeros(2, 3, size, size))
    except Exception:
        return False
    return True


def measured(model) -> dict:
    """Verdict, counts, errors and ratios of time of a tower that can be taken apart."""
    pixels, direction = _given(model)
    single = checked_run(model, pixels)
    row = _counts(single) | {"error32": single.frozen.check.error}
    row |= _times(model, pixels[:1], direction)
    del single
    return row | _in_double(model.double(), pixels.double(), direction.double())


def _given(model) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures of noise, and a unit direction."""
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *model.image_size, generator=noise)
    direction = torch.randn(1, model.embed_dim, generator=noise)
    return pixels, direction / direction.norm()


def _counts(run: Run) -> dict:
    check, heads = run.frozen.check, run.index["kind"] == "head"
    sources = [s for s in run.frozen.read if s.kind == "head"]
    return {
        "verdict": check.verdict,
        "route": "general" if isinstance(run, GeneralRun) else "plain",
        "reached": check.reached,
        "silent": len(check.silent),
        "layers": check.layers,
        "parts": len(run.index),
        "heads": int(heads.sum()),
        "tokens": sum(s.attention.mixes_tokens for s in sources),  # layers whose source tokens are known
        "kinds": check.kinds,
        "hiding": check.hiding,
    }


def _times(model, pixels, direction) -> dict:
    """Times for one image, in units of the library's own forward."""

    def library():
        with torch.no_grad():
            model.tower(pixels)

    def scores():
        kit.scores(model, pixels, direction)

    def vectors():
        checked_run(model, pixels).vectors()

    seconds: dict = {library: [], scores: [], vectors: []}
    begin = time.perf_counter()
    for k in range(ROUNDS + 1):
        if k > 1 and time.perf_counter() - begin > ROUNDS_SECONDS:
            break
        for function in list(seconds)[:: 1 if k % 2 else -1]:
            start = time.perf_counter()
            function()
            if k:
                seconds[function].append(time.perf_counter() - start)
    forward = seconds[library]
    ratio = {f: median(t / b for t, b in zip(seconds[f], forward)) for f in (scores, vectors)}
    return {
        "forward_ms": 1000 * median(forward),
        "scores_ratio": ratio[scores],
        "vectors_ratio": ratio[vectors],
    }


def _in_double(model, pixels, direction) -> dict:
    """Errors in float64: the sum, scores against vectors, and maps against scores, all relative.

    And what the verdict rests on: how many attention layers have a head that is not zero, and of how many the
    maps are refused.
    """
    run = checked_run(model, pixels, tokens=True)
    vectors, norm, check = run.vectors(), run.norm.max(), run.frozen.check
    scores = run.scores(direction, normalize=False)
    refused = sorted({layer for own in check.wrong_splits.values() for layer in own})
    row = {
        "error64": check.error,
        "scores_error64": float((scores - vectors @ direction.T).detach().abs().max() / norm),
        "refused_maps": len(refused),
        "split_error64": check.tokens,
    }
    heads = (run.index["kind"] == "head").to_numpy()
    row["nonzero"] = int(run.index["layer"][heads & (vectors != 0).any(-1).any(0).numpy()].nunique())
    right = heads & ~run.index["layer"].isin(refused).to_numpy()
    if right.any():
        names = ", ".join(run.index["name"][right])
        misses = [
            (run.split(direction, names, by).sum(2) - scores[:, right]).abs().max() / norm
            for by in (SPLITS if run.has_positions else SPLITS[:1])
        ]
        row["maps_error64"] = max(misses).item()
    return row


def _serve(pipe) -> None:
    """A process of its own: towers come in, lines go out."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    while (tower := pipe.recv()) is not None:
        pipe.send((rechecked if "verdict" in tower else examine)(tower))


class Bench:
    """A process that examines towers, started anew where one ended it or took too long.

    A tower that comes with a verdict is a line that is there; it is checked once more.
    """

    serve = staticmethod(_serve)
    seconds = SECONDS  # for one tower

    def __init__(self):
        self.process = None

    def examine(self, tower: dict) -> dict:
        """The line of a tower, whatever happens to the process."""
        if self.process is None:
            self.pipe, theirs = mp.get_context("spawn").Pipe()
            self.process = mp.get_context("spawn").Process(target=self.serve, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        self.pipe.send(tower)
        try:
            if self.pipe.poll(self.seconds):
                return self.pipe.recv()
            reason = f"no result after {self.seconds} s"
        except EOFError:
            reason = "the process ended, most likely for want of memory"
        self.close()
        return tower | {"verdict": "failed", "reason": reason, "seconds": self.seconds}

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def main() -> None:
    """Examine what is not yet in the file, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these, printed and not kept")
    parser.add_argument("--kept", type=Path, default=KEPT, help="file of the lines that are there")
    parser.add_argument("--again", nargs="+", default=[], help="verdicts or names to be examined anew")
    parser.add_argument(
        "--recheck",
        nargs="+",
        default=[],
        help="verdicts, families or names of lines to be checked once more",
    )
    parser.add_argument("--share", default="0/1", help="of several runs side by side: number/count")
    parser.add_argument("--page", action="store_true", help="write the page from what is there")
    chosen = parser.parse_args()
    everything = towers()
    if chosen.names:
        for tower in everything:
            if tower["name"] in chosen.names:
                print(json.dumps(examine(tower), indent=1))
        return
    if chosen.recheck:
        recheck(chosen.kept, set(chosen.recheck))
    elif not chosen.page:
        number, count = map(int, chosen.share.split("/"))
        collect(everything[number::count], chosen.kept, set(chosen.again))
    from tests.bench.coverage_page import write

    rows = with_twins(read(chosen.kept))
    missing = [t["name"] for t in everything if t["name"] not in rows]
    print(write(list(rows.values()), LARGEST, SECONDS, missing))


def read(kept: Path) -> dict[str, dict]:
    """The lines by name; of several, the last."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    return {row["name"]: row for row in map(json.loads, lines)}


def collect(everything: list[dict], kept: Path, again: set[str]) -> None:
    """Add the lines that are missing, each as soon as it is known."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    done = {n for n, r in read(kept).items() if not again & {n, r["verdict"], r["family"]}}
    _add([t for t in everything if t["name"] not in done], kept)


def recheck(kept: Path, asked: set[str]) -> None:
    """Look once more, in float64, at lines of these verdicts, families, routes or names; small ones first."""
    rows = [r for r in read(kept).values() if r["verdict"] != "outside"]
    fresh = [r for r in rows if "rechecked" not in r and asked & {r["verdict"], r["family"], r.get("route")}]
    some = {r["name"]: r for r in [*fresh, *(r for r in rows if r["name"] in asked)]}.values()
    _add(sorted(some, key=lambda row: row.get("parameters", 0)), kept)


def with_twins(rows: dict[str, dict]) -> dict[str, dict]:
    """The same lines; those whose silent layers were never asked for take the answer of a twin.

    A twin is wired alike: a name of the same file that begins with the same word, with the same verdict and
    the same kinds of parts, of which every attention layer that is a part was found to be other than zero.
    """
    asked = [r for r in rows.values() if "rechecked" in r and "nonzero" in r]
    asked = [r for r in asked if r["silent"] == 0 and r["nonzero"] == r["reached"]]
    filled = {}
    for name, row in rows.items():
        if row.get("route") == "general" and "silent" not in row:
            alike = [r for r in asked if _wiring(r) == _wiring(row)]
            if alike:
                twin = min(alike, key=lambda r: r["parameters"])
                row = row | {"silent": 0, "twin": twin["name"]}
        filled[name] = row
    return filled


def _wiring(row: dict) -> tuple:
    """What tells how layers are wired: the file, the first word of the name, verdict and kinds of parts."""
    trunk = row["family"].removeprefix("timm trunk ")
    name = trunk if trunk != row["family"] else row["name"].removeprefix("timm/")
    word = re.match("[a-z]*", name.lower())[0]
    family = TRUNKS.get(word, row["family"]) if trunk != row["family"] else row["family"]
    return family, word, "rmlp" in name, row["verdict"], frozenset(row["kinds"])


def _add(towers: list[dict], kept: Path) -> None:
    """Add the line of each tower as soon as it is known."""
    bench = Bench()
    with kept.open("a", encoding="utf-8") as file:
        for tower in tqdm(towers, unit="tower"):
            file.write(json.dumps(bench.examine(tower)) + "\n")
            file.flush()
            os.fsync(file.fileno())
    bench.close()


if __name__ == "__main__":
    main()
