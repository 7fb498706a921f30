"""What each member of the family is held to, and how it learnt."""

from typing import NamedTuple


class Bar(NamedTuple):
    """A figure is held to be at least `least`, or below `below`."""

    least: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        return f"≥ {self.least:g}" if self.below is None else f"< {self.below:g}"

    def met(self, value: float) -> bool:
        """Whether the figure reaches the bar."""
        return value >= self.least if self.below is None else value < self.below


Bars = dict[tuple[str, str], Bar]  # what, artists -> bar


def _least(artists: str = "seen", **figures: float) -> Bars:
    return {(what, artists): Bar(least=value) for what, value in figures.items()}


LARGE: Bars = {
    **_least(colour=0.97, texture=0.90, background=0.98, position=0.96, size=0.94, count=0.92),
    **_least(**{"relation order": 0.75, "concept, full": 0.72, "concept, natural": 0.85}),
    **_least(**{"animals: own minus conflicting background": 0.15}),
    **_least("held_out", **{"concept, full": 0.42, "concept, natural": 0.48, "concept, clean": 0.55}),
}
FINE: Bars = _least(
    **{
        "concept, full": 0.82,
        "concept, natural": 0.93,
        "token heatmaps: mIoU": 0.70,
        "token heatmaps: largest on the named object minus on the other": 0.85,
    }
) | {("typographic attack: drop by what the word says", "seen"): Bar(below=0.05)}
CLEAN_CONCEPT = {"stickers-l8-128": 0.96, "stickers-l8": 0.90, "stickers-s8": 0.80, "stickers-s16": 0.60}
CLEAN: Bars = {("typographic attack: drop", "seen"): Bar(below=0.05)}
WEB: Bars = _least(
    **{
        "concept, clean: web minus clean twin": -0.08,
        "printed word, alone": 0.60,
        "typographic attack: drop": 0.15,
    }
)
FINE_WEB: Bars = _least(**{"printed word, alone": 0.95, "typographic attack: drop": 0.50})
CLIPS: Bars = _least(**{"animals: average minus worst group": 0.15})
PROBED: Bars = _least(
    **{"concept, full: minus 3 x raw pixels": 0.0, "concept, full: minus random weights": 0.10}
)
SELF_DISTILLED = ("stickers-dino", "stickers-dinov2")


def clean_twin(name: str) -> str:
    """The member that saw the clean mix where this one saw the web mix.

    Example:
        >>> clean_twin("stickers-l8-web-128")
        'stickers-l8-128'
    """
    return name.replace("-web", "")


def training_of(name: str) -> str:
    """How a member learnt: "captions", "web captions", "labels" or "self-distillation".

    Example:
        >>> training_of("stickers-s8-web"), training_of("stickers-dino"), training_of("stickers-swin")
        ('web captions', 'self-distillation', 'labels')
    """
    if name in SELF_DISTILLED:
        return "self-distillation"
    if clean_twin(name) not in CLEAN_CONCEPT:
        return "labels"
    return "captions" if name in CLEAN_CONCEPT else "web captions"


def asked_by(name: str) -> str:
    """How a member is asked: "prompts", or a "linear probe" where it has no texts."""
    return "prompts" if "captions" in training_of(name) else "linear probe"


def bars_of(name: str) -> Bars:
    """The bars of a member's figures.

    Example:
        >>> str(bars_of("stickers-l8")["concept, clean", "held_out"])
        '≥ 0.55'
    """
    kind = training_of(name)
    if kind == "captions":
        concept = _least(**{"concept, clean": CLEAN_CONCEPT[name]})
        more = {"stickers-l8": LARGE, "stickers-l8-128": LARGE | FINE}
        return CLEAN | CLIPS | concept | more.get(name, {})
    if kind == "web captions":
        return WEB | CLIPS | (FINE_WEB if name == "stickers-l8-web-128" else {})
    return PROBED | _least(**{"concept, full": 0.60 if kind == "labels" else 0.25})
