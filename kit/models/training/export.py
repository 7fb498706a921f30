"""A trained model as a folder that open_clip's own API loads."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from kit.models.training.loop import Training


def export(training: Training, folder: Path) -> None:
    """Write the averaged weights in float16, the configuration and the vocabulary.

    The label heads are left out. `open_clip.create_model_and_transforms("local-dir:FOLDER")`
    loads the result; `open_clip.get_tokenizer` needs the absolute `bpe_path=` besides.

    Args:
        training: a training at its end.
        folder: made if absent; files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe, clip = training.recipe, training.clip
    weights = dict(clip.state_dict()) | training.averaged()
    half = {n: w.detach().to("cpu", torch.float16).contiguous() for n, w in weights.items()}
    save_file(half, folder / "open_clip_model.safetensors")
    shutil.copyfile(training.folder / "bpe.txt.gz", folder / "bpe.txt.gz")
    text = dict(recipe.text, vocab_size=clip.vocab_size)
    model = {"embed_dim": recipe.embed_dim, "vision_cfg": recipe.vision, "text_cfg": text}
    config = {"model_cfg": model, "preprocess_cfg": recipe.preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
