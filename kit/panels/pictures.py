"""What panels of one picture share: the pictures that were given, and those that are uploaded."""

from collections.abc import Iterator
from contextlib import suppress

from PIL import Image

from kit.data.sets import Images
from kit.errors import KitError, nearest
from kit.maps.pictures import UPLOAD, Picture, as_pictures, uploaded_picture
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel
from kit.panels.fields import State
from kit.panels.latest import Latest
from kit.world import gallery

SIZED = 64  # pictures that are kept as models are given them


class PicturePanel(DeclaredPanel):
    """Base of panels with a field `image`, the name of a picture.

    Attributes:
        pictures: those given, by name; uploads are in `uploads`.
        of_gallery: whether none were given, and they are those of the gallery.
    """

    def take(self, images: Images) -> None:
        """Take the pictures that a panel is made with, before its first state is found.

        Args:
            images: scenes of `kit.world`, pictures as `read_image` takes them, or a set, such as a folder's;
                None = the gallery.
        """
        self.of_gallery = images is None
        self.seed = getattr(gallery() if images is None else images, "seed", None)
        self.pictures = as_pictures(images)
        self._held_sized = Latest(SIZED)

    def images(self, model: Model) -> Iterator[Image.Image]:
        """The images of all pictures that were given and can be read, as they are given to a model."""
        for name in self.pictures:
            with suppress(KitError):
                yield self.pictures[name].sized_for(model).image

    def picture(self, name: str) -> Picture:
        """The picture of this name.

        Raises:
            KitError: there is none.
        """
        for known in (self.uploads, self.pictures):
            if name in known:
                return known[name]
        known = [*self.pictures, *self.uploads]
        hint = " Upload the file again." if name.startswith(UPLOAD) else nearest(name, known)
        raise KitError(f'no picture "{name}" in this panel; it has {len(known)}.{hint}')

    def sized(self, name: str, model: Model) -> Picture:
        """The picture of this name as it is given to a model: a scene is painted at the model's size."""
        picture = self.picture(name)
        if picture.scene is None and not picture.word:
            return picture  # nothing is painted, and a large one is not kept
        return self._held_sized.of((name, model.label), lambda: picture.sized_for(model))

    def options(self, name: str) -> list:
        if name != "image":
            return []
        titles = getattr(self.pictures, "titles", None) or {p.name: p.title for p in self.pictures.values()}
        titles = titles | {p.name: p.title for p in self.uploads.values()}
        return [(title, name) for name, title in titles.items()]

    def uploaded(self, content: bytes, name: str, note: str) -> dict:
        picture = uploaded_picture(content, name, note)
        self.keep_upload(picture.name, picture)
        return {"image": picture.name}

    def first(self) -> dict:
        own = self.pictures
        return {"image": own.first() if hasattr(own, "first") else next(iter(own))}

    def again(self, state: State) -> str:
        return "model" if self.of_gallery else "model, images"
