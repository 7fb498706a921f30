"""Loupe: a vision transformer's image representation as an exact sum of named parts."""

from importlib import import_module

from kit.errors import KitError

# Public name -> module that holds it; modules are imported when a name is first used.
_PUBLIC = {
    "load": "kit.models",
    "available": "kit.models",
    "decompose": "kit.parts",
    "scores": "kit.parts",
    "pattern": "kit.parts",
    "check": "kit.parts",
    "collect": "kit.parts",
    "roles": "kit.parts",
    "run": "kit.parts",
    "ablate": "kit.edits",
    "textspan": "kit.projections",
    "family": "kit.workshop.cards.family",
}
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
