"""Notebook 15's panel: a picture, a class, a method; its map, its mask, and how well that fits."""

from dataclasses import replace

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.figures import Maps, Strip, Table, interval
from kit.figures.maps import KEY, masked
from kit.maps import METHODS, Segmented, seen_mask
from kit.maps.classes import fits, maps_of_classes
from kit.models.directions import Directions
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, State
from kit.panels.truth import Picture, scene_pictures
from kit.world import Scenes

MOST = 12  # pictures, and classes: every one is asked of every other


class Segmenter(DeclaredPanel):
    """One picture asked for one class by one method: map, mask with the true outline, IoU of all methods.

    All maps are made when the panel is made; no tower runs on a click. A class that is not in the picture can
    be asked for too: then the truth is whatever is there.

    Args:
        model: from `kit.load`.
        scenes: pictures with masks, of `kit.world`; at most 12.
        directions: `kit.models.Directions` of all classes.
        asked: names of the classes that can be asked for; None = those of the pictures' objects.
        overall: figures over many images, from `kit.maps.segment`, shown beside; None = none.
        state: a state string as the panel shows it.

    Raises:
        KitError: too many pictures or classes, a class without a direction, a state that cannot be.

    Example:
        >>> panel = Segmenter(model, scenes, directions)                       # doctest: +SKIP
        >>> panel.choose(method="rollout")                                     # doctest: +SKIP
        >>> panel.caption                                                      # doctest: +SKIP
        'rollout, asked for ‘cat’: 41% of the picture, IoU 0.30 with the cat. …'
    """

    image = Menu(None, "picture", width="330px")
    text = Menu(None, "class", "what the map is asked for")
    method = Menu(None, "method", "how the map is made", "270px")
    positional = ("image", "text", "method")
    rows = (("image", "text", "method"), ("map", "mask", "methods"))

    def __init__(self, model: Model, scenes: Scenes, directions: Directions, asked: list[str] | None = None,
                 overall: Segmented | None = None, state: str | None = None):  # fmt: skip
        seen = model.viewed(scenes.images)
        self.pictures = {p.name: p.with_image(i) for p, i in zip(scene_pictures(scenes), seen)}
        self.classes = list(dict.fromkeys(asked or [t for p in self.pictures.values() for t in p.things]))
        for what, count in (("pictures", len(self.pictures)), ("classes", len(self.classes))):
            if not 1 <= count <= MOST:
                raise KitError(f"{count} {what} cannot be prepared for every method; give 1 to {MOST}.")
        self.methods = list(METHODS if overall is None else overall.results)
        self.overall, self.seed, pixels = overall, scenes.seed, model.preprocess(scenes.images)
        self.maps, self.refused = maps_of_classes(model, pixels, directions, self.classes, self.methods)
        self.drawn = [name for name in self.methods if name not in self.refused]
        if not self.drawn:
            raise KitError(next(iter(self.refused.values())))
        super().__init__(model, state)

    def first(self) -> dict:
        return {"method": self.drawn[0], **self.also({"image": next(iter(self.pictures))})}

    def options(self, name: str) -> list:
        pictures = [(f"{p.name}: {' and '.join(p.things)}", p.name) for p in self.pictures.values()]
        return {"image": pictures, "text": self.classes, "method": self.methods}[name]

    def also(self, fields: dict) -> dict:
        """Another picture is first asked for its own object."""
        picture = self.pictures.get(fields.get("image"))
        own = [thing for thing in picture.things if thing in self.classes] if picture else []
        return {"text": own[0], **fields} if own else fields

    def truth_of(self, picture: Picture, text: str) -> tuple[list[int], str]:
        """Which objects' mask is the truth, by number, and their name: those asked for, or all."""
        own = [n for n, thing in enumerate(picture.things) if thing == text]
        return (own, text) if own else (list(range(len(picture.things))), " and ".join(picture.things))

    def show(self, s: State) -> Shown:
        if s.method in self.refused:
            raise KitError(self.refused[s.method])
        picture, n = self.pictures[s.image], self.drawn.index(s.method)
        objects, whose = self.truth_of(picture, s.text)
        true = seen_mask(self.model, picture.masks[objects].any(0))
        place = list(self.pictures).index(s.image)
        maps = [self.maps[s.text, method][place] for method in self.drawn]  # [row, col] each
        found, ious = fits(maps, true)
        best = int(np.nan_to_num(ious).argmax())
        told = f"the {whose}" if s.text in picture.things else f"what is there, the {whose}"
        caption = f"{s.method}, asked for ‘{s.text}’: {found[n].float().mean():.0%} of the picture, "
        caption += f"IoU {ious[n]:.2f} with {told}. "
        caption += f"Best of {len(ious)} methods here: {self.drawn[best]}, {ious[best]:.2f}."
        if self.refused:
            caption += f" Without {', '.join(self.refused)}: {next(iter(self.refused.values()))}"
        table = pd.DataFrame({"method": self.drawn, "image": s.image, "class": s.text, "IoU": ious})
        seen, over = table[["method", "IoU"]].rename(columns={"IoU": "IoU here"}), ""
        if self.overall is not None:
            table = table.join(self.overall.table(), on="method")
            ends = [interval(*e, 1.0) for e in zip(table["mIoU_low"], table["mIoU_high"])]
            seen = seen.assign(mIoU=table["mIoU"], **{"95 %": ends}, mAP=table["mAP"])
            over = f"; mIoU and mAP over {len(self.overall.classes):,} images"
        heat = Maps([maps[n].numpy()], [picture.image], "in the method's own units", masks=true[None])
        mask = Strip([masked(picture.image, found[n].numpy(), true.numpy())], key=KEY, large=True)
        fit = Table(seen, "IoU here", digits=2, picked=s.method)
        titles = (
            "The map: red speaks for the class, blue against it",
            "What it finds: the map, clipped at 0, above its mean",
            f"How well it fits: the same for every method{over}",
        )
        figures = [replace(figure, title=title) for figure, title in zip((heat, mask, fit), titles)]
        return Shown(
            caption, dict(zip(("map", "mask", "methods"), figures)), truth=f"truth: {picture.line}",
            about=s.image, images=s.image, facts={"class": s.text, "method": s.method}, table=table,
        )  # fmt: skip

    def lines(self) -> str:
        s, picture = self.selection, self.pictures[self.selection.image]
        objects, whose = self.truth_of(picture, s.text)
        return f"""import kit
from kit.maps import METHODS, seen_mask, spread
from kit.measures import Segmentation

# scenes and directions (all classes) as the panel was given them
model = kit.load({self.model.name!r})
number = {int(s.image.split()[-1])}  # {picture.line}
row = directions.names.index({s.text!r})
own = directions.vectors[row] - directions.vectors.mean(0)
pixels = model.preprocess(scenes.images[number : number + 1])
maps = METHODS[{s.method!r}](model, pixels, own[None])
objects = {objects}  # {whose}
true = seen_mask(model, scenes.masks[number, objects].any(0))[None]
print(Segmentation().add(*spread(maps, model.image_size), true).iou())"""
