"""Models by name: `load`, `available`, and what a `Model` offers."""

from kit.models.directions import Directions, directions
from kit.models.images import read_image
from kit.models.load import load
from kit.models.model import Model
from kit.models.names import available
from kit.models.untrained import untrained
