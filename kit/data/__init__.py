"""Sets of images, the papers' data sets, and the pass over them."""

from kit.data.classes import class_templates, class_vectors, imagenet_classes, readable
from kit.data.habitats import animal_texts, animals, training_shares
from kit.data.images import Upload, read_folder, read_upload
from kit.data.papers import WATERBIRDS_SIZES, PaperSet, read_imagenet, read_waterbirds
from kit.data.segmentation import SegmentationFile, read_imagenet_segmentation
from kit.data.sets import ImageFolder, ImageSet, Pictures, as_set

__all__ = [
    "WATERBIRDS_SIZES",
    "ImageFolder",
    "ImageSet",
    "PaperSet",
    "Pictures",
    "SegmentationFile",
    "Upload",
    "animal_texts",
    "animals",
    "as_set",
    "class_templates",
    "class_vectors",
    "imagenet_classes",
    "read_folder",
    "read_imagenet",
    "read_imagenet_segmentation",
    "read_upload",
    "read_waterbirds",
    "readable",
    "training_shares",
]
