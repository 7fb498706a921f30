"""Parts to words: banks of texts, and the texts that span what each head writes."""

from kit.projections.banks import Bank
from kit.projections.head_maps import HeadMaps, head_maps
from kit.projections.prompts import picture_direction, prompt_directions
from kit.projections.reconstruct import reconstructed, reconstructed_cosines
from kit.projections.textspan import TextSpan, own_texts, textspan

__all__ = [
    "Bank",
    "HeadMaps",
    "TextSpan",
    "head_maps",
    "own_texts",
    "picture_direction",
    "prompt_directions",
    "reconstructed",
    "reconstructed_cosines",
    "textspan",
]
