"""Sets of images, and the pass over them."""

from kit.data.habitats import animal_texts, animals, training_shares
from kit.data.images import Upload, read_folder, read_upload
from kit.data.sets import ImageFolder, ImageSet, Pictures, as_set

__all__ = [
    "ImageFolder",
    "ImageSet",
    "Pictures",
    "Upload",
    "animal_texts",
    "animals",
    "as_set",
    "read_folder",
    "read_upload",
    "training_shares",
]
