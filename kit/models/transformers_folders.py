"""Folders as transformers saves them, and the same by their name on the hub."""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from kit.errors import KitError
from kit.models.build import check_memory, has_package, seeded
from kit.models.checkpoint import open_checkpoint
from kit.models.fetch import cached_file, reachable
from kit.models.folders import read_settings
from kit.models.live import live_settings
from kit.models.load_transformers import Output, wrap
from kit.models.model import Model
from kit.models.values import expect_finite, expect_plain, kind_of, left_out, some, stored_as
from kit.models.weights_file import names_in, read_file

HF = "hf/"
# in the order in which transformers itself looks; an index lists files that belong together
FILES = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors")  # no code
WEIGHTS = ("weight", "bias")  # last words of names that floats alone can have


def load_transformers_name(name: str, pretrained: str | None, options: dict) -> Model:
    """The model of "hf/NAME", from the cache of the hub or fetched, since it was named; or of "hf/FOLDER".

    Raises:
        KitError: it is neither in the cache nor to be had.
    """
    place = name.removeprefix(HF)
    folder = Path(place) if os.path.isdir(place) else _snapshot(place, name)
    return load_transformers_folder(name, folder, pretrained, **options)


def _snapshot(repository: str, name: str) -> Path:
    """The folder of a repository in the cache of the hub; fetched where it is not there."""
    try:
        settings = cached_file(repository, ("config.json",))
        weights = cached_file(repository, FILES)
    except ValueError:
        raise KitError(
            f'"{repository}" is no name on the hub, and no folder; write "{HF}OWNER/NAME".'
        ) from None
    if settings and weights and Path(settings).parent == Path(weights).parent:
        return Path(settings).parent
    from huggingface_hub import snapshot_download

    why = "the hub does not answer"
    if reachable():
        try:
            return Path(snapshot_download(repository, allow_patterns=[*FETCHED, *FILES]))
        except Exception as error:  # no such name, no right to it, or a network that fails on the way
            why = str(error).strip().splitlines()[0] or type(error).__name__
    raise KitError(
        f'"{name}" is not in the cache of the hub and could not be fetched ({why}); copy its folder '
        'here, and load that: load("path/to/folder").'
    )


def load_transformers_folder(
    name, folder: Path, pretrained, *, config, preprocess, like, device, seed, key
) -> Model:
    """The model of a folder with config.json and weights as transformers saves them.

    Weights are read by the kit, so that no code of a file is run; transformers puts them into its own module.
    What the folder lacks is an error, never random.

    Args:
        name: what was asked.
        folder: with preprocessor_config.json and tokenizer files where pictures and texts are to be prepared.
        pretrained: None for the weights of the folder, or "random".
        config, preprocess: as for a live module.
        like, key: not for such folders.
        device, seed: see `kit.load`.
    """
    if like is not None or key is not None or pretrained not in (None, "random"):
        raise KitError(
            f'"{name}" brings its weights and settings; leave out like= and key=, and pretrained= but for '
            '"random".'
        )
    if not has_package("transformers"):
        raise KitError(
            f'"{name}" is a model of the package transformers, which is not installed: '
            "pip install transformers."
        )
    settings, found = live_settings(config), read_settings(folder / "config.json")
    kind, configuration = _kind(name, folder, found)
    file = None if pretrained == "random" else _weights_in(folder)
    check_memory(lambda: kind(copy.deepcopy(configuration)), name, device, file)
    notes: list[str] = []
    with seeded(seed):
        if file is None:
            module, missing = kind(configuration), []
        else:
            module, missing, notes = _filled(name, kind, configuration, file)
    module = module.to(device).eval().requires_grad_(False)
    model = wrap(name, pretrained, module, settings, preprocess, notes, source=str(folder))
    _expect_all_there(model, missing, file)
    return model


def _kind(name: str, folder: Path, found: dict) -> tuple[type[nn.Module], object]:
    """The class that a folder names, and its configuration."""
    import transformers

    if found.get("quantization_config"):
        raise KitError(
            f'"{name}" is quantised, as the quantization_config of its config.json says, too coarse for an '
            "exact sum of parts; load the model that it was made from."
        )
    architectures = found.get("architectures") or []
    wanted = architectures[0] if isinstance(architectures, list) and architectures else None
    kind = getattr(transformers, wanted, None) if isinstance(wanted, str) else None
    if wanted is not None and kind is None:
        own = "brings its own code, which is never run" if found.get("auto_map") else "is not known to it"
        raise KitError(
            f'"{name}" is a {wanted}, which transformers {transformers.__version__} does not have; it {own}. '
            "Build the model yourself, where you trust it, and give the module: load(module)."
        )
    try:
        configuration = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        kind = kind or transformers.AutoModel._model_mapping[type(configuration)]
    except Exception as error:  # whatever the library makes of settings that do not hold
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise KitError(f'"{folder / "config.json"}" cannot be read by transformers: {first}') from None
    return kind, configuration


def _weights_in(folder: Path) -> Path:
    there = names_in(folder)
    found = next((name for name in FILES if name in there), None)
    if found is None:
        raise KitError(f'the folder "{folder}" holds none of {some(FILES)}; download its weights too.')
    return folder / found


def _state_of(file: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, or of all files that an index lists."""
    files = [file]
    if file.suffix == ".json":
        listed = read_settings(file).get("weight_map")
        if not isinstance(listed, dict) or not listed:
            raise KitError(f'"{file}" lists no files; take it anew from where the model came.')
        files = [file.parent / Path(str(name)).name for name in dict.fromkeys(listed.values())]
    state: dict[str, Tensor] = {}
    for one in files:
        state |= open_checkpoint(read_file(one), one.name).tensors
    return state


def _filled(name: str, kind: type[nn.Module], configuration, file: Path):
    """The module with the weights of a file, the names that the file lacks, and notes."""
    state = _state_of(file)
    expect_plain(state, file.name)
    whole = [n for n, v in state.items() if n.rpartition(".")[2] in WEIGHTS and kind_of(v) != "float"]
    if whole:
        raise KitError(
            f'"{file.name}" does not hold the weights of a model: {some(whole)} are no floats; dequantise a '
            "quantised model first."
        )
    expect_finite(state, file.name)
    notes = stored_as(state)
    try:
        with _quiet():
            module, info = kind.from_pretrained(
                None, config=configuration, state_dict=state, dtype=torch.float32,
                output_loading_info=True, ignore_mismatched_sizes=True,  # they are looked at below
            )  # fmt: skip
    except Exception as error:  # whatever the library makes of weights that do not fit
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise KitError(f'"{file.name}" does not fit "{name}": {first}') from None
    other = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in info["mismatched_keys"]]
    if other or info["error_msgs"]:
        raise KitError(
            f'"{file.name}" does not fit "{name}": {len(other)} tensors have another shape than config.json '
            f"says ({some(other or map(str, info['error_msgs']))}); take both from one place."
        )
    return module, sorted(info["missing_keys"]), notes + left_out(sorted(info["unexpected_keys"]), file.name)


@contextmanager
def _quiet() -> Iterator[None]:
    """A context in which transformers neither reports nor draws: what it would say is looked at here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _expect_all_there(model: Model, missing: list[str], file: Path | None) -> None:
    """Raise where the representation or the texts rest on weights that the file lacks."""
    used = {id(value) for value in model.tower.state_dict(keep_vars=True).values()}
    used |= {id(v) for v in model.library_model.state_dict(keep_vars=True).values() if model.has_text}
    there = model.library_model.state_dict(keep_vars=True)
    read = getattr(model.tower, "read", None)
    past = isinstance(read, Output) and read.field == "last_hidden_state"  # the pooler lies behind it
    lost = [n for n in missing if id(there[n]) in used and not (past and "pooler" in n.split("."))]
    if lost:
        raise KitError(
            f'"{file.name}" does not fit "{model.name}": {len(lost)} of {len(there)} tensors are missing '
            f"({some(lost)}); take it anew, with the config.json that belongs to it."
        )
    if missing:
        model.notes.append(
            f"{file.name} lacks {some(missing)}; nothing here reads them, and they hold random values."
        )
