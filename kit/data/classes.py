"""Names of classes as people say them, and their directions by prompt ensemble."""

from functools import cache

import pandas as pd
import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.model import Model

AT_ONCE = 64  # classes whose prompts are held at once


@cache
def imagenet_classes() -> pd.DataFrame:
    """The 1,000 classes of ImageNet in their usual order, which is that of their sorted WordNet ids.

    The ids are those that timm carries, the names those that open_clip carries for zero-shot prompts; both
    libraries keep this order. Two names stand for two classes each, see `data_cards/imagenet.md`.

    Returns:
        A table with the columns `wnid` and `class_name`; its index is the class, 0-999.

    Example:
        >>> imagenet_classes().loc[65].tolist()
        ['n01751748', 'sea snake']
    """
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo

    return pd.DataFrame({"wnid": ImageNetInfo().label_names(), "class_name": list(IMAGENET_CLASSNAMES)})


@cache
def class_templates() -> tuple[str, ...]:
    """The 80 templates of OpenAI's prompt ensemble for ImageNet, as open_clip carries them.

    Example:
        >>> len(class_templates()), class_templates()[0]
        (80, 'a bad photo of a {}.')
    """
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)


def readable(name: str) -> str:
    """A class name as it should stand in a prompt: no underscores, no synonyms, no number in front.

    Args:
        name: as a data set writes it, such as the name of a folder.

    Example:
        >>> [readable(name) for name in ("apple_pie", "tench, Tinca tinca", "001.Black_footed_Albatross")]
        ['apple pie', 'tench', 'Black footed Albatross']
    """
    number, dot, rest = name.partition(".")
    name = rest if dot and number.isdecimal() else name
    return " ".join(name.split(",")[0].replace("_", " ").split())


def class_vectors(model: Model, names=None, templates=None) -> Tensor:
    """A direction for each class: the mean of its unit prompts, made unit.

    They are computed in the precision of the model, on any device alike.

    Args:
        model: one that encodes texts.
        names: of the classes; `readable` is applied to each. None is the 1,000 of ImageNet.
        templates: patterns with "{}"; None is `class_templates()`, the 80 of the papers.

    Returns:
        [text, embed], each of length 1.

    Raises:
        KitError: no name, a name with nothing in it, no text tower, a template without "{}".

    Source:
        Radford et al. 2021, arXiv 2103.00020, section 3.1.4; Gandelsman et al. 2023, arXiv 2310.05916, use
        these templates for all zero-shot accuracies.

    Example:
        >>> import kit
        >>> class_vectors(kit.load("stickers-s16"), ["polar_bear", "cat"], ["a picture of a {}"]).shape
        torch.Size([2, 128])
    """
    names = list(imagenet_classes().class_name) if names is None else list(names)
    if not names:
        raise KitError("no class was named; give at least one name.")
    readables = [readable(name) for name in names]
    if "" in readables:
        raise KitError(f"class {readables.index('')} has no name: {names[readables.index('')]!r}; name it.")
    templates = list(class_templates() if templates is None else templates)
    chunks = (readables[start : start + AT_ONCE] for start in range(0, len(readables), AT_ONCE))
    return torch.cat([model.encode_text(chunk, templates) for chunk in chunks])
