"""Loupe: a vision transformer's image representation as an exact sum of named parts."""

from importlib import import_module

from kit.errors import KitError

# Module -> public names that it holds; modules are imported when a name is first used.
_NAMES = {
    "kit.models": "load available",
    "kit.parts": "decompose scores pattern check collect roles run",
    "kit.edits": "ablate",
    "kit.projections": "textspan align rank_parts",
    "kit.workshop.cards.family": "family",
}
_PUBLIC = {name: module for module, names in _NAMES.items() for name in names.split()}
_MODULES = (
    "data", "edits", "maps", "measures", "models", "panels", "parts", "projections", "retrieval",
    "sweep", "world",
)  # fmt: skip

__all__ = ["KitError", *_PUBLIC, *_MODULES]


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return import_module(f"kit.{name}")
    raise AttributeError(f"module 'kit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
