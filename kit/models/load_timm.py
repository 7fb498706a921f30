"""timm models: names, tags, local files and shipped folders."""

from pathlib import Path

from torch import Tensor, nn

from kit.errors import KitError
from kit.models import names
from kit.models.build import TimmTower, check_memory, seeded, timm_facts
from kit.models.checkpoint import needed
from kit.models.fetch import cached_file, no_file, reachable
from kit.models.folders import (
    TIMM_FILES,
    expect_label_names,
    expect_timm_settings,
    settings_beside,
    weights_in,
)
from kit.models.model import NO_TEXT, Model
from kit.models.timm_layouts import behind, timm_convert
from kit.models.transforms import checked_transform, given
from kit.models.values import expect_finite, left_out
from kit.models.weights import fit, look_over, read_weights
from kit.models.weights_file import looks_like_file

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # names of timm's own repositories


def load_timm(name, pretrained, *, config, preprocess, like, device, seed, key=None) -> Model:
    """The model of a timm name, "timm/NAME" or "timm/NAME.TAG"; see `kit.load`."""
    import timm

    architecture, _, tag = name.removeprefix("timm/").partition(".")
    if not timm.is_model(architecture):
        raise names.unknown_name(name)
    tags = names.timm_tags(architecture)
    pretrained = tag if pretrained is None and tag else pretrained
    if pretrained is None:
        raise names.missing_tag(name, tags)
    settings = dict(config or {})
    labels = settings.pop("class_names", None)
    for wanted in (pretrained if not looks_like_file(pretrained) and pretrained != "random" else None, like):
        if wanted is not None and wanted not in tags:
            raise names.unknown_tag(name, wanted, tags)
    if pretrained in tags:
        model, notes = _build_tag(architecture, pretrained, settings, device), []
        labels = labels or imagenet_names(model)
    else:
        if like is not None:
            settings["pretrained_cfg"] = like
        model, notes = _build(name, architecture, pretrained, settings, device, seed, key)
        if pretrained != "random" and like is None and preprocess is None and tags:
            notes.append(
                f'Images are prepared as for the tag "{model.pretrained_cfg["tag"]}"; like= names another.'
            )
        notes += settings_beside(pretrained) if pretrained != "random" else []
    return wrap(name, pretrained, model, labels, preprocess, device, notes)


def load_timm_folder(name, folder: Path, pretrained, preprocess, device, seed, key=None) -> Model:
    """A model from a folder with timm's own config.json and model.safetensors."""
    expect_timm_settings(folder)
    file = pretrained if pretrained is not None else str(weights_in(folder, TIMM_FILES))
    model, notes = _build(name, f"local-dir:{folder.resolve()}", file, {}, device, seed, key)
    labels = expect_label_names(model.pretrained_cfg.get("label_names"), folder)
    return wrap(name, pretrained, model, labels, preprocess, device, notes)


def _build(name, architecture, file, settings, device, seed, key=None) -> tuple[nn.Module, list[str]]:
    """A timm module with random weights or those of a local file."""
    state, notes = (None, []) if file == "random" else _read(name, architecture, file, settings, key)
    check_memory(lambda: make_timm(name, architecture, settings), name, device, file if state else None)
    with seeded(seed):
        model = make_timm(name, architecture, settings)
    if "img_size" in settings:  # not every model of timm writes it into its own settings
        size = settings["img_size"]
        size = (size, size) if isinstance(size, int) else tuple(size)
        model.pretrained_cfg = model.default_cfg = {**model.pretrained_cfg, "input_size": (3, *size)}
    if state is not None:
        notes += fit(model, state, Path(file).name, name)
    return model, notes


def _read(name, architecture, file, settings: dict, key) -> tuple[dict[str, Tensor], list[str]]:
    """The state of a local file for this architecture; the size of its head becomes a setting."""
    asked = settings if "num_classes" in settings else {**settings, "num_classes": 0}
    bare = make_timm(name, architecture, asked, meta=True)
    classifiers = _classifiers(bare)
    own = needed(bare, () if "num_classes" in settings else tuple(f"{one}." for one in classifiers))
    convert = timm_convert(lambda: make_timm(name, architecture, asked, meta=True, pretrained=True), bare)
    state, notes = read_weights(file, own, name, convert, key)
    if "num_classes" not in settings:
        settings["num_classes"] = _classes_in(state, classifiers)
    dropped = behind(state, set(bare.state_dict()), classifiers)
    state = {n: v for n, v in state.items() if n not in dropped}
    return state, notes + left_out(dropped, Path(file).name)


def make_timm(
    name: str, architecture: str, settings: dict, meta: bool = False, pretrained: bool = False
) -> nn.Module:
    """timm's own module, without weights; `pretrained` builds it as for a tag, where nothing loads."""
    import timm
    import torch

    try:
        with torch.device("meta" if meta else torch.get_default_device()):
            return timm.create_model(architecture, pretrained=pretrained, **settings)
    except Exception as error:  # a wrong setting shows as an error of any kind somewhere in the model
        reason = str(error) or type(error).__name__
        raise KitError(f'timm cannot build "{name}" with config {settings}: {reason}') from None


def _build_tag(architecture: str, tag: str, settings: dict, device) -> nn.Module:
    import timm

    full = f"{architecture}.{tag}"
    check_memory(lambda: make_timm(full, full, settings), full, device)
    repository = timm.get_pretrained_cfg(full).hf_hub_id
    cached = cached_file(f"{repository}{full}" if repository.endswith("/") else repository, HUB_FILES)
    if not cached and not reachable():
        raise no_file(f"timm/{architecture}", tag)
    overlay = {"file": cached} if cached else None
    if cached:
        look_over(cached, make_timm(full, full, settings, meta=True), full)
    try:
        model = timm.create_model(full, pretrained=True, pretrained_cfg_overlay=overlay, **settings)
    except Exception as error:  # whatever a damaged file, or a missing one, makes of the libraries
        if not cached:
            raise no_file(f"timm/{architecture}", tag) from error
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise KitError(
            f'the file of "{full}" at "{cached}" cannot be loaded: {first}; remove it and load again.'
        ) from None
    expect_finite(model.state_dict(), full)
    return model


def _classifiers(model: nn.Module) -> tuple[str, ...]:
    """Names of the modules that timm calls the classifier; distilled models have two."""
    classifier = model.pretrained_cfg.get("classifier") or ()
    return (classifier,) if isinstance(classifier, str) else tuple(classifier)


def _classes_in(state: dict[str, Tensor], classifiers: tuple[str, ...]) -> int:
    """Number of outputs of the head that the file holds; 0 without a head."""
    weight = state.get(f"{classifiers[0]}.weight") if classifiers else None
    return weight.shape[0] if weight is not None and weight.ndim else 0


def wrap(name, pretrained, model: nn.Module, labels, preprocess, device, notes) -> Model:
    """A `Model` around a filled timm module; without a device it is left as it is."""
    model = model if device is None else model.to(device).eval().requires_grad_(False)
    head = class_head(model)
    if labels is not None and (head is None or len(labels) != len(head)):
        count = 0 if head is None else len(head)
        raise KitError(f'{len(labels)} class names were given, but the head of "{name}" has {count} outputs.')
    return Model(
        name=name,
        pretrained=pretrained,
        source="timm",
        library_model=model,
        tower=TimmTower(model).eval(),
        transform=make_transform(model, preprocess, name),
        embed_dim=embed_dim(model),
        no_text_reason=f'"{name}" has no text tower; use {NO_TEXT}.',
        trained=pretrained != "random",
        notes=notes,
        class_names=None if labels is None else list(labels),
        class_head=head,
        **timm_facts(model),
    )


def class_head(model: nn.Module) -> Tensor | None:
    """Rows of the linear classifier [class, embed]; None without one, or with two as distilled DeiT has.

    The rows are directions for the representation only where the head is linear in it.
    """
    classifier = model.pretrained_cfg.get("classifier")
    if not isinstance(classifier, str):
        return None
    try:
        head = model.get_submodule(classifier)
    except AttributeError:
        return None
    # a head with hidden layers (MetaFormer's) is not linear in the representation
    linear = isinstance(head, nn.Linear) and head.in_features == embed_dim(model)
    return head.weight.detach() if linear else None


def embed_dim(model: nn.Module) -> int:
    """Width of what timm calls pre-logits."""
    return getattr(model, "head_hidden_size", None) or model.num_features


def imagenet_names(model: nn.Module) -> list[str] | None:
    """Class names of a published ImageNet head, from timm's own table."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(model)
    if subset is None or class_head(model) is None:
        return None
    return ImageNetInfo(subset).label_descriptions()


def make_transform(model: nn.Module, preprocess, name: str):
    """timm's own evaluation transform with the caller's settings over the model's."""
    from timm.data import create_transform, resolve_model_data_config

    if callable(preprocess):
        return preprocess
    settings = resolve_model_data_config(model)
    unknown = [key for key in preprocess or {} if key not in settings]
    if unknown:
        raise names.unknown_setting(unknown[0], settings)
    size = timm_facts(model)["image_size"]
    # where a setting is 0, timm takes its default in silence
    zeros = {
        k: v for k, v in given(model.pretrained_cfg).items() if k in ("mean", "std", "crop_pct") and not v
    }
    settings = {**settings, **zeros, "input_size": (3, *size), **given(preprocess)}
    if not settings["crop_pct"]:
        raise KitError(
            f'crop_pct is {settings["crop_pct"]} for images of "{name}"; give a share such as 0.9.'
        )
    return checked_transform(lambda settings: create_transform(**settings, is_training=False), settings, name)
