"""Notebook 15's panel: a picture, a class, a method; its map, its mask, and how well that fits."""

import pandas as pd

from kit.errors import KitError
from kit.figures import Maps, Strip, Table
from kit.figures.maps import KEY, masked
from kit.maps import METHODS, Segmented, seen_mask
from kit.maps.classes import fits, maps_of_classes
from kit.maps.methods import RENAMED
from kit.maps.pictures import scene_pictures
from kit.models.directions import Directions
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, State
from kit.world import Scenes

MOST = 12  # pictures, and classes: every one is asked of every other
MAP = "The map: red speaks for the class, blue against it"
MASK = "What it finds: the map above its mean"
FIT = "How well it fits: the same for every method"


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
        KitError: too many pictures or classes, a class without a direction, no method with a map of this
            tower, a state that cannot be.

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
        scenes = scenes.sized_for(model)
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
        super().__init__(model, state)

    def first(self) -> dict:
        """The first picture, asked for its own object by the first method that has a map."""
        return {"method": self.drawn[0], **self.also({"image": next(iter(self.pictures))})}

    def options(self, name: str) -> list:
        pictures = [(f"{p.name}: {' and '.join(p.things)}", p.name) for p in self.pictures.values()]
        return {"image": pictures, "text": self.classes, "method": self.methods}[name]

    def also(self, fields: dict) -> dict:
        """Another picture is first asked for its own object. Older strings count the pictures from 0."""
        names, number = list(self.pictures), str(fields.get("image")).removeprefix("scene ")
        if number.isdecimal() and f"scene {number}" not in names and int(number) < len(names):
            fields = {**fields, "image": names[int(number)]}
        if fields.get("method") in RENAMED:
            fields = {**fields, "method": RENAMED[fields["method"]]}
        picture = self.pictures.get(fields.get("image"))
        own = [thing for thing in picture.things if thing in self.classes] if picture else []
        return {"text": own[0], **fields} if own else fields

    def show(self, s: State) -> Shown:
        """The map of one method, its mask beside the truth, and how well every method's fits."""
        if s.method in self.refused:
            raise KitError(self.refused[s.method])
        picture = self.pictures[s.image]
        objects, whose = picture.meant(s.text)
        true = seen_mask(self.model, picture.masks[objects].any(0))
        place = list(self.pictures).index(s.image)
        maps = {method: self.maps[s.text, method][place] for method in self.drawn}  # [row, col] each
        fit = fits(maps, true)
        caption = fit.says(s.method, s.text, "what is there, " * (s.text not in picture.things) + whose)
        if self.refused:
            caption += f" Without {', '.join(self.refused)}: {next(iter(self.refused.values()))}"
        table = pd.DataFrame({"method": self.drawn, "image": s.image, "class": s.text, "IoU": fit.ious})
        seen, title = table[["method", "IoU"]], FIT
        if self.overall is not None:
            table, (_, seen) = self.overall.beside(table)[0], self.overall.beside(seen)
            title += f"; mIoU and mAP over {len(self.overall.classes):,} images"
        shown = masked(picture.image, fit.masks[self.drawn.index(s.method)].numpy(), true.numpy())
        heat = [maps[s.method].numpy()], [picture.image], "in the method's own units"
        seen = seen.rename(columns={"IoU": "IoU here"})
        figures = {
            "map": Maps(*heat, masks=true[None], title=MAP),
            "mask": Strip([shown], key=KEY, large=True, title=MASK),
            "methods": Table(seen, "IoU here", digits=2, picked=s.method, title=title),
        }
        return Shown(
            caption, figures, truth=f"truth: {picture.line}", about=s.image, images=s.image,
            facts={"class": s.text, "method": s.method}, table=table,
        )  # fmt: skip

    def again(self, state: State) -> str:
        return f"model, scenes, directions, {self.classes!r}"

    def lines(self) -> str:
        s, picture = self.selection, self.pictures[self.selection.image]
        objects, whose = picture.meant(s.text)
        return f"""\
from kit.maps.classes import fits, maps_of_classes

# scenes and directions (all classes) as the panel was given them
scenes = scenes.sized_for(model)
k, objects = {list(self.pictures).index(s.image)}, {objects}  # {picture.line}: {whose}
pixels = model.preprocess(scenes.images[k : k + 1])
maps, _ = maps_of_classes(model, pixels, directions, [{s.text!r}], [{s.method!r}])
true = kit.maps.seen_mask(model, scenes.masks[k, objects].any(0))
print(fits({{{s.method!r}: maps[{s.text!r}, {s.method!r}][0]}}, true).ious)"""
