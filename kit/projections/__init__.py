"""Parts to words: banks of texts, and the texts that span what each head writes."""

from kit.projections.banks import Bank
from kit.projections.head_maps import HeadMaps, head_maps
from kit.projections.reconstruct import reconstructed_cosines
from kit.projections.textspan import TextSpan, textspan

__all__ = ["Bank", "HeadMaps", "TextSpan", "head_maps", "reconstructed_cosines", "textspan"]
