"""Which vision models of transformers can be taken apart: `python -m tests.bench.coverage_transformers`.

Every key of transformers' table of image classifiers, and the vision towers that stand beside a text tower
or come bare, are built from tiny configurations with random weights that sit at no neutral value, given to
`kit.load` as live modules and taken apart. Every row is printed on the page. A model that takes too long or
ends the process it runs in counts as failed.
"""

import argparse
import inspect
import json
import time
import warnings
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers.models.auto import modeling_auto

import kit
from kit.errors import KitError, Refused
from kit.models.build import seeded
from kit.models.load_transformers import size_of
from kit.models.untrained import unsettle
from kit.parts.checked import checked_run
from tests.bench.coverage import Bench, _counts, _given, _in_double, read
from tests.unit.tiny_transformers import DECODER, PERCEIVER, SWIN, TEXT, VISION

PAGE = Path(__file__).parents[2] / "docs" / "coverage_transformers.md"
KEPT = PAGE.with_suffix(".jsonl")
SECONDS = 300
MIXES = ("ALL_ATTENTION_FUNCTIONS", "softmax(", "Softmax(", "scaled_dot_product_attention(")
# weighted means of tokens without queries times keys
LINEAR = ("SwiftFormerEfficientAdditiveAttention", "MobileViTV2LinearSelfAttention")

DUAL = {"vision_config": VISION, "text_config": TEXT}
STAGES = {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1], "image_size": 64}
HEADS = {"num_attention_heads": [1, 1, 2, 2]}
# key of the table of image classifiers -> settings of a tiny one; a key that is missing is plain
SETTINGS: dict[str, dict] = {
    "bit": {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 1], "num_groups": 4},
    "clip": DUAL,
    "convnext": STAGES,
    "convnextv2": STAGES,
    "cvt": {"embed_dim": [16, 32, 64], "num_heads": [1, 2, 4], "depth": [1, 2, 3], "image_size": 64},
    "dinat": {"embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2]},
    "donut-swin": SWIN,
    "efficientnet": {"image_size": 64, "width_coefficient": 0.25, "hidden_dim": 320},
    "focalnet": {"image_size": 32, "embed_dim": 16, "depths": [1, 1], "hidden_sizes": [16, 32],
                 "focal_levels": [1, 1], "focal_windows": [3, 3]},
    "hgnet_v2": {"image_size": 64},
    "hiera": {"image_size": [64, 64], "embed_dim": 16, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]},
    "imagegpt": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "levit": {"image_size": 64, "hidden_sizes": [16, 32, 48], "num_attention_heads": [2, 2, 2],
              "key_dim": [8, 8, 8], "depths": [1, 1, 1]},
    "metaclip_2": DUAL,
    "mobilenet_v1": {"image_size": 64},
    "mobilenet_v2": {"image_size": 64},
    "mobilevit": {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": 2,
                  "neck_hidden_sizes": [8, 8, 16, 16, 16, 24, 32]},
    "mobilevitv2": {"image_size": 64},
    "perceiver": PERCEIVER,
    "poolformer": {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    "pp_lcnet": {},
    "pvt": {**STAGES, **HEADS},
    "pvt_v2": {**STAGES, **HEADS},
    "regnet": {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "groups_width": 8},
    "resnet": {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1]},
    "segformer": {**STAGES, **HEADS},
    "shieldgemma2": {"vision_config": VISION, "text_config": {**TEXT, "num_key_value_heads": 1}},
    "siglip": DUAL,
    "siglip2": DUAL,
    "swiftformer": {"image_size": 64, "depths": [1, 1, 1, 1], "embed_dims": [16, 16, 32, 32]},
    "swin": SWIN,
    "swinv2": SWIN,
    "textnet": {"image_size": 64},
    "timm_wrapper": {"architecture": "test_vit"},
}  # fmt: skip
# what cannot be read from a model, and is asked for
ASKED: dict[str, dict] = {"PerceiverForImageClassificationFourier": {"grid": (32, 32)}}
# towers that come bare or beside a text tower: name of the class -> settings
TOWERS: dict[str, dict] = {
    "Aimv2VisionModel": VISION, "AlignVisionModel": {"image_size": 64},
    "AltCLIPVisionModel": VISION, "BeitModel": VISION, "BlipVisionModel": VISION, "Blip2VisionModel": VISION,
    "CLIPModel": {**DUAL, "projection_dim": 24}, "CLIPSegVisionModel": VISION, "CLIPVisionModel": VISION,
    "CLIPVisionModelWithProjection": {**VISION, "projection_dim": 24}, "ChineseCLIPVisionModel": VISION,
    "DINOv3ViTModel": {**VISION, "num_register_tokens": 2}, "Data2VecVisionModel": VISION,
    "DeiTModel": VISION,
    "Dinov2Model": VISION, "Dinov2WithRegistersModel": VISION, "GroupViTVisionModel": {
        "hidden_size": 32, "depths": [1, 1, 1], "num_group_tokens": [8, 4, 0], "num_output_groups": [8, 4, 4],
        "num_attention_heads": 2, "intermediate_size": 48, "image_size": 32, "patch_size": 8},
    "HieraModel": SETTINGS["hiera"],
    "InternVLVisionModel": {**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
    "MLCDVisionModel": {**VISION, "num_key_value_groups": 1}, "MetaClip2VisionModelWithProjection": VISION,
    "Owlv2VisionModel": VISION, "OwlViTVisionModel": VISION, "PvtV2Model": SETTINGS["pvt_v2"],
    "Siglip2VisionModel": {**VISION, "num_patches": 16}, "SiglipModel": DUAL, "SiglipVisionModel": VISION,
    "SwinModel": SWIN, "Swinv2Model": SWIN, "ViTMAEForPreTraining": {**VISION, **DECODER},
    "ViTMAEModel": VISION, "ViTMSNModel": VISION, "ViTModel": VISION,
}  # fmt: skip


def towers() -> list[dict]:
    """What is to be examined: name of the class, key of the table, settings."""
    found = []
    for key, names in modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.items():
        for name in names if isinstance(names, tuple) else (names,):
            found.append({"name": name, "key": key, "settings": SETTINGS.get(key, VISION)})
    there = [name for name in TOWERS if hasattr(transformers, name)]
    return found + [{"name": name, "key": "", "settings": TOWERS[name]} for name in there]


def attends(module: nn.Module) -> bool:
    """Whether a module's own code, or that of one in it, calls attention or a softmax over tokens."""
    for kind in {type(m) for m in module.modules()}:
        try:
            code = inspect.getsource(kind)
        except (OSError, TypeError):
            continue
        if kind.__name__ in LINEAR or kind is nn.MultiheadAttention or any(call in code for call in MIXES):
            return True
    return False


def build(tower: dict) -> nn.Module:
    """The model, with attention by one call where it knows how, and nothing at a neutral value."""
    kind = getattr(transformers, tower["name"])
    settings = dict(tower["settings"])
    if tower["key"]:
        settings["num_labels"] = 3
    config = kind.config_class(**settings)
    with seeded(0):
        module = kind._from_config(config)
    unsettle(module)
    return module.eval()


def examine(tower: dict) -> dict:
    """One line of the table."""
    start = time.perf_counter()
    row = {"name": tower["name"], "key": tower["key"]}
    try:
        module = build(tower)
    except Exception as error:
        return row | {"verdict": "outside", "reason": f"cannot be built: {_first(error)}"}
    row |= {"parameters": sum(p.numel() for p in module.parameters())}
    reads = "pixel_values" in inspect.signature(module.forward).parameters
    if not reads and not hasattr(module, "get_image_features"):
        return row | {"verdict": "outside", "reason": f"reads {module.main_input_name}, not pictures"}
    if "text" in type(module).input_modalities and not hasattr(module, "get_image_features"):
        return row | {"verdict": "outside", "reason": "reads a text beside the picture"}
    if not attends(module):
        return row | {"verdict": "outside", "reason": "no attention"}
    try:
        size = {} if size_of(module.config) else {"image_size": 64}
        model = kit.load(module, config=size | ASKED.get(tower["name"], {}))
        pixels, direction = _given(model)
        run = checked_run(model, pixels)
        row |= _counts(run) | {"error32": run.frozen.check.error}
        finer = model.double()
        row |= _in_double(finer, pixels.double(), direction.double())
        row["allowed64"] = checked_run(finer, pixels.double()).frozen.check.tolerance
    except Refused as refusal:
        row |= {"verdict": "refused", "reason": str(refusal)}
    except KitError as error:
        said = str(error)
        known = any(part in said for part in ("no one representation", "cannot be run on pictures", "pooled"))
        row |= {"verdict": "refused" if known else "failed", "reason": said}
    except Exception as error:
        row |= {"verdict": "failed", "reason": f"{type(error).__name__}: {_first(error)}"}
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _serve(pipe) -> None:
    """A process of its own: towers come in, lines go out."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    while (tower := pipe.recv()) is not None:
        pipe.send(examine(tower))


class Separate(Bench):
    """The process in which models are examined."""

    serve = staticmethod(_serve)
    seconds = SECONDS


def main() -> None:
    """Examine what is not yet in the file and write the page, or print the lines of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these, printed and not kept")
    parser.add_argument("--kept", type=Path, default=KEPT, help="file of the lines that are there")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page is written")
    parser.add_argument("--again", nargs="+", default=[], help="verdicts or names to be examined anew")
    chosen = parser.parse_args()
    everything = towers()
    if chosen.names:
        for tower in _named(everything, chosen.names):
            print(json.dumps(examine(tower), indent=1), flush=True)
        return
    rows = {name: row for name, row in read(chosen.kept).items() if name in {t["name"] for t in everything}}
    rows = {name: row for name, row in rows.items() if not {name, row["verdict"]} & set(chosen.again)}
    bench = Separate()
    for tower in everything:
        if tower["name"] not in rows:
            row = bench.examine(tower)
            rows[tower["name"]] = {key: value for key, value in row.items() if key != "settings"}
            print(row["name"], row["verdict"], row.get("reason", ""), flush=True)
            text = "".join(json.dumps(rows[t["name"]]) + "\n" for t in everything if t["name"] in rows)
            chosen.kept.write_text(text, encoding="utf-8", newline="\n")
    bench.close()
    from tests.bench.coverage_transformers_page import write

    print(write([rows[t["name"]] for t in everything], chosen.page))


def _named(everything: list[dict], names: list[str]) -> list[dict]:
    there = {tower["name"]: tower for tower in everything}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise SystemExit(f"there is no {', '.join(unknown)} among the {len(there)} models")
    return [there[name] for name in names]


if __name__ == "__main__":
    main()
