"""A picture in a panel, and what the world knows of it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from PIL import Image

from kit.data.sets import Images, ImageSet, as_set
from kit.errors import KitError, shown
from kit.maps.masks import seen_mask
from kit.models.images import Items, read_image, single_images
from kit.models.model import Model
from kit.world import Scenes, gallery, print_word

PLACES = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "center": "in the middle",
}
GROUNDS = {g: f"on {g}" for g in ("grass", "sand", "snow", "brick", "wood", "paper")} | {
    "sea": "on the sea",
    "lake": "on a lake",
    "forest": "in a forest",
    "road": "on a road",
    "sky": "in the sky",
    "night": "at night",
}
UPLOAD = "upload "  # begins the name of an uploaded picture
MOST = 500  # images of a set in a menu
COVERED = 0.25  # a token is on an object where the object covers a quarter of its patch


@dataclass(frozen=True)
class Picture:
    """One picture that can be looked at.

    Attributes:
        name: `"scene 17"`, or `"upload 0f3a…"` by its hash.
        image: what was given, RGB.
        masks: where each object is, bool [object, height, width]; None where nobody knows.
        things: what each object is called, one name for each mask.
        line: what is true of the picture in one line; empty where nobody knows.
        note: what was read, where it is an upload.
        fine: the same scene drawn finer than any model sees it; None where there is no such drawing.
        code: what `model.preprocess` is given for it, as Python.
        scene: the scene alone, where it is one.
        word: that is printed into it by hand; empty = none.
    """

    name: str
    image: Image.Image
    masks: np.ndarray | None = None
    things: list[str] = field(default_factory=list)
    line: str = ""
    note: str = ""
    fine: Image.Image | None = None
    code: str = '"my picture.png"'
    scene: Scenes | None = field(default=None, repr=False, compare=False)
    word: str = ""

    def with_image(self, image: Image.Image) -> "Picture":
        """The same picture as somebody else sees it."""
        return replace(self, image=image)

    def sized_for(self, model: Model) -> "Picture":
        """The picture as it is given to a model.

        A scene and its masks are painted at the model's size. A word is printed into what the model sees.
        """
        scene = self.scene and self.scene.sized_for(model)
        if scene is not self.scene:
            masks = None if self.masks is None else _masks(scene, 0)
            return replace(self, image=_image(scene, 0), masks=masks, scene=scene).sized_for(model)
        return self._printed(model) if self.word else self

    def _printed(self, model: Model) -> "Picture":
        """The picture with its word, at the edge where it hides least of what is known to be there."""
        (seen,), masks = model.viewed([self.image]), self.masks
        above = masks is not None and _hidden(masks[:, ::-1]) < _hidden(masks)
        image, box = print_word(seen, self.word, above)
        code = f"kit.world.print_word(model.viewed({self.code})[0], {self.word!r}{', above=True' * above})[0]"
        told = f", with ‘{self.word}’ printed into it"
        line, note = (text and text + told for text in (self.line, self.note))
        return replace(
            self, image=image, masks=None if masks is None else masks & ~box, line=line, note=note, code=code,
            fine=self.fine and print_word(self.fine, self.word, above)[0],
        )  # fmt: skip

    def seen_by(self, model: Model) -> "Picture":
        """The picture as a model sees it, its masks cropped and resized likewise."""
        masks = self.masks
        if masks is not None:
            masks = np.stack([seen_mask(model, mask).numpy() for mask in masks])
        return replace(self, image=model.viewed([self.image])[0], masks=masks)

    def meant(self, text: str) -> tuple[list[int], str]:
        """Which objects are meant by a text, by number, and what they are: those called so, or all.

        Example:
            >>> pair = Picture("scene 16", Image.new("RGB", (8, 8)), things=["cat", "dog"])
            >>> pair.meant("dog"), pair.meant("boat")
            (([1], 'the dog'), ([0, 1], 'the cat and dog'))
        """
        own, every = [n for n, thing in enumerate(self.things) if thing == text], range(len(self.things))
        return (own, f"the {text}") if own else (list(every), f"the {' and '.join(self.things)}")

    @property
    def title(self) -> str:
        """Name and thing, for a menu."""
        words = (self.line or self.note).split(", ")[0]
        return f"{self.name}: {words}" if words else self.name

    @property
    def file(self) -> str:
        """Name of the file that was uploaded."""
        return self.note.split(", ")[0]

    @property
    def told(self) -> str:
        """What is true of the picture, or what is known of it."""
        return f"Truth: {self.line}." if self.line else self.note

    @property
    def source(self) -> str:
        """Name and digest of the pixels, in words."""
        return f"{self.name}, pixels {hashlib.sha256(self.image.tobytes()).hexdigest()[:12]}"

    def tokens_on(self, shape: tuple[int, int]) -> np.ndarray | None:
        """Which tokens lie on each object, bool [object, rows, cols]; None where nobody knows."""
        if self.masks is None:
            return None
        rows, cols = shape
        size = (cols * 8, rows * 8)
        sheets = [
            Image.fromarray(m.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX) for m in self.masks
        ]
        cover = np.stack([np.asarray(s, dtype=np.float32) / 255 for s in sheets])  # [object, height, width]
        return cover.reshape(-1, rows, 8, cols, 8).mean((2, 4)) >= COVERED


def uploaded_picture(content: bytes, file: str, note: str = "") -> Picture:
    """An uploaded file as a picture: named by its hash, so that a state string finds it again.

    Args:
        content: of the file.
        file: its name, which is said in the picture's note.
        note: what else is to be said there, such as what the browser did to it.

    Raises:
        KitError: no picture.
    """
    image = read_image(content)
    told = ", ".join(filter(None, (file, f"{image.width} × {image.height} pixels", note)))
    return Picture(f"{UPLOAD}{hashlib.sha256(content).hexdigest()[:10]}", image, note=told)


class SetPictures(Mapping):
    """The first images of a set as pictures by name, each read when it is looked at.

    Args:
        images: a set.

    Attributes:
        titles: name -> name and file, for a menu.
    """

    def __init__(self, images: ImageSet):
        self.images, self._last = images, ("", None)
        count = min(len(images), MOST)
        self.titles = {f"image {n}": f"image {n}: {shown(images.names[n], 40)}" for n in range(count)}

    def __len__(self) -> int:
        return len(self.titles)

    def __iter__(self) -> Iterator[str]:
        return iter(self.titles)

    def __getitem__(self, name: str) -> Picture:
        """One picture; raises `KitError` where its image cannot be read."""
        if name not in self.titles:
            raise KeyError(name)
        if self._last[0] != name:
            self._last = name, self._read(name, int(name.removeprefix("image ")))
        return self._last[1]

    def first(self) -> str:
        """The name of the first image that can be read."""
        why = ""
        for name in self.titles:
            try:
                return self[name].name
            except KitError as error:
                why = why or str(error)
        raise KitError(f"none of the first {len(self):,} images could be read. The first one: {why}")

    def _read(self, name: str, number: int) -> Picture:
        found, label = self.images.read(number), self.images.labels.iloc[number]
        if found.image is None:
            raise KitError(found.why)
        line = truth_line(label) if "concept" in label else ""
        width, height = found.image.size
        note = f"{shown(self.images.names[number], 80)}, {width} × {height} pixels"
        if len(self.images) > len(self):
            note += f", one of the first {len(self):,} of {len(self.images):,}"
        return Picture(name, found.image, line=line, note=note, code=f"images[{number}]")


def as_pictures(images: Images) -> Mapping[str, Picture]:
    """Pictures to look at, by name.

    Args:
        images: scenes of `kit.world`; one picture or several, as `read_image` takes them; or a set of
            `kit.data` or torchvision, of which the first 500 are read as they are asked for. None = the
            gallery.

    Raises:
        KitError: none, or one that cannot be read.

    Example:
        >>> list(as_pictures([Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8))]))
        ['picture 0', 'picture 1']
    """
    if images is None or isinstance(images, Scenes):
        code = "kit.world.gallery()" if images is None else "images"
        return {p.name: p for p in scene_pictures(gallery() if images is None else images, code)}
    images = images if hasattr(images, "names") else single_images(images)
    if len(images) == 0:
        raise KitError("no pictures: the list is empty; give at least one, or None for the gallery.")
    if hasattr(images, "names") or isinstance(images, Items):
        return SetPictures(as_set(images))
    images = [read_image(images[n]) for n in range(len(images))]
    return {f"picture {n}": Picture(f"picture {n}", i, code=f"images[{n}]") for n, i in enumerate(images)}


def scene_pictures(scenes, code: str = "images") -> list[Picture]:
    """The pictures of drawn scenes, with their masks and the line that says what is in them.

    Each is called by its number in its seed, so that a few of the gallery are called as in the gallery.

    Args:
        scenes: of `kit.world`.
        code: the scenes in lines of Python.
    """
    pictures = []
    fine = scenes.finer().cpu().numpy() if len(scenes) <= 64 else [None] * len(scenes)
    for i in range(len(scenes.images)):
        label = scenes.labels.iloc[i]
        masks, things = _masks(scenes, i), _things(label)
        known = len(masks) and len(things) == len(masks)
        pictures.append(
            Picture(
                name=f"scene {int(scenes.index[i])}",
                image=_image(scenes, i),
                masks=masks if known else None,
                things=things if known else [],
                line=truth_line(label),
                fine=None if fine[i] is None else Image.fromarray(fine[i].transpose(1, 2, 0)),
                code=f"{code}[{i}]",
                scene=scenes[i],
            )
        )
    return pictures


def _image(scenes, i: int) -> Image.Image:
    return Image.fromarray(np.asarray(scenes.images[i]).transpose(1, 2, 0))


def _hidden(masks: np.ndarray) -> int:
    """Pixels of objects in the lower quarter, where a word is printed."""
    return int(masks[:, 3 * masks.shape[1] // 4 :].sum())


def _masks(scenes, i: int) -> np.ndarray:
    """Masks of the objects that are seen, bool [object, height, width]; of several equal ones together."""
    masks = np.asarray(scenes.masks[i]).astype(bool)
    masks = masks[masks.any((1, 2))]
    several = scenes.labels.iloc[i].get("kind") == "count" and len(masks)
    return masks.any(0, keepdims=True) if several else masks


def truth_line(label: pd.Series) -> str:
    """What is true of a scene, in one line, from its row of labels.

    Example:
        >>> truth_line(pd.Series({"concept": "cat", "colour": "red", "background": "grass"}))
        'red cat, on grass'
    """
    first, second = _thing(label, ""), _thing(label, "_2")
    if (count := _value(label, "count")) not in ("", "one"):
        first = f"{count} × {first}"
    joined = f"{first} {_value(label, 'relation') or 'and'} {second}" if second else first
    word, artist = _value(label, "word"), _value(label, "artist")
    facts = [joined, _value(label, "size"), PLACES.get(_value(label, "position"), "")]
    facts += [f"the word ‘{word}’" if word else "", GROUNDS.get(_value(label, "background"), "")]
    facts += [f"drawn by {artist}" if artist else ""]
    return ", ".join(f for f in facts if f)


def known_line(label: pd.Series) -> str:
    """What is known of an image, in one line, from its row of labels: of a scene, or any others.

    Example:
        >>> known_line(pd.Series({"folder": "cats", "file": "a.png", "area": None}))
        'cats, a.png'
    """
    return truth_line(label) if "concept" in label else ", ".join(map(str, label.dropna()))


def _things(label: pd.Series) -> list[str]:
    return [thing for thing in (_value(label, "concept"), _value(label, "concept_2")) if thing]


def _thing(label: pd.Series, suffix: str) -> str:
    words = [_value(label, name + suffix) for name in ("colour", "texture", "concept")]
    return " ".join(w for w in words if w and w not in ("natural", "plain"))


def _value(label: pd.Series, name: str) -> str:
    value = label.get(name)
    return "" if value is None or pd.isna(value) else str(value)
