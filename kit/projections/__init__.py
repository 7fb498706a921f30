"""Parts to words: banks of texts, and the texts that span what each head writes."""

from kit.projections.banks import Bank
from kit.projections.respan import reconstructed_cosines
from kit.projections.textspan import TextSpan, textspan

__all__ = ["Bank", "TextSpan", "reconstructed_cosines", "textspan"]
