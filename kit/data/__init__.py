"""Sets of images, the papers' data sets, and the pass over them."""

from kit.data.classes import class_templates, class_vectors, imagenet_classes, readable
from kit.data.habitats import animal_texts, animals, training_shares
from kit.data.imagenet import read_imagenet
from kit.data.images import Upload, read_folder, read_upload
from kit.data.segmentation import SegmentationFile, read_imagenet_segmentation
from kit.data.sets import ImageFolder, ImageSet, PaperSet, Pictures, as_set
from kit.data.subsets import EVERY, subsets
from kit.data.waterbirds import WATERBIRDS_SIZES, read_waterbirds
