"""The same run with parts replaced."""

from kit.edits.ablation import Ablation, ablate

__all__ = ["Ablation", "ablate"]
