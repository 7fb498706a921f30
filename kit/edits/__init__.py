"""The same run with parts replaced."""

from kit.edits.ablation import Ablation, ablate
from kit.edits.stored import Asked, Reference, ask

__all__ = ["Ablation", "Asked", "Reference", "ablate", "ask"]
