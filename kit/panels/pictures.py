"""What panels of one picture share: the pictures that were given, and those that are uploaded."""

from kit.data.sets import Images
from kit.errors import KitError, nearest
from kit.maps.pictures import UPLOAD, Picture, as_pictures, uploaded_picture
from kit.panels.declared import DeclaredPanel
from kit.panels.fields import State
from kit.world import gallery


class PicturePanel(DeclaredPanel):
    """Base of panels with a field `image`, the name of a picture.

    Attributes:
        pictures: those given, by name; uploads are in `uploads`.
        of_gallery: whether none were given, and they are those of the gallery.
    """

    def take(self, images: Images) -> None:
        """Take the pictures that a panel is made with, before its first state is found.

        Args:
            images: scenes of `kit.world`, or pictures as `read_image` takes them; None = the gallery.
        """
        self.of_gallery = images is None
        self.seed = getattr(gallery() if images is None else images, "seed", None)
        self.pictures = {picture.name: picture for picture in as_pictures(images)}

    def picture(self, name: str) -> Picture:
        """The picture of this name.

        Raises:
            KitError: there is none.
        """
        known = {**self.pictures, **self.uploads}
        if name not in known:
            hint = " Upload the file again." if name.startswith(UPLOAD) else nearest(name, known)
            raise KitError(f'no picture "{name}" in this panel; it has {len(known)}.{hint}')
        return known[name]

    def options(self, name: str) -> list:
        pictures = (*self.pictures.values(), *self.uploads.values())
        return [(picture.title, picture.name) for picture in pictures] if name == "image" else []

    def uploaded(self, content: bytes, name: str, note: str) -> dict:
        picture = uploaded_picture(content, name, note)
        self.keep_upload(picture.name, picture)
        return {"image": picture.name}

    def first(self) -> dict:
        return {"image": next(iter(self.pictures))}

    def again(self, state: State) -> str:
        return "model" if self.of_gallery else "model, images"
