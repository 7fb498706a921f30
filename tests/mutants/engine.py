"""Mutants of the engine: kit/parts, kit/edits and kit/models/trace.py."""

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []
