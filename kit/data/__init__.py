"""Sets of images, and the pass over them."""

from kit.data.images import Upload, read_folder, read_upload
from kit.data.sets import ImageFolder, ImageSet, Pictures, as_set

__all__ = ["ImageFolder", "ImageSet", "Pictures", "Upload", "as_set", "read_folder", "read_upload"]
