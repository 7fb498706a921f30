"""Panels: how a hand reaches the kit. State and sentences without widgets; thin views that only draw."""

from kit.models import untrained
from kit.panels.ablations import Ablations
from kit.panels.any_model import AnyModel
from kit.panels.explorer import Explorer
from kit.panels.groups import Groups
from kit.panels.guide import Guide, first_stops
from kit.panels.head_tokens import HeadTokens
from kit.panels.heat_panel import BarPanel, HeatPanel
from kit.panels.panel import Panel
from kit.panels.planted_maps import PlantedMaps
from kit.panels.ranking import Ranking
from kit.panels.retrieval import Retrieval
from kit.panels.segmenter import Segmenter
from kit.panels.spans import Spans
from kit.parts import examine
from kit.projections.prompts import prompt_directions

Towers = AnyModel  # its first name, on which saved lines stand

__all__ = [
    "Ablations",
    "AnyModel",
    "BarPanel",
    "Explorer",
    "Groups",
    "Guide",
    "HeadTokens",
    "HeatPanel",
    "Panel",
    "PlantedMaps",
    "Ranking",
    "Retrieval",
    "Segmenter",
    "Spans",
    "examine",
    "first_stops",
    "prompt_directions",
    "untrained",
]
