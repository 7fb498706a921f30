"""Panels: how a hand reaches the kit. State and sentences without widgets; thin views that only draw."""

from kit.panels.ablations import Ablations
from kit.panels.explorer import Explorer
from kit.panels.groups import Groups
from kit.panels.heat_panel import BarPanel, HeadGrid, HeatPanel
from kit.panels.panel import Panel
from kit.panels.pictures import picture
from kit.panels.retrieval import Retrieval
from kit.panels.scores import prompt_directions
from kit.panels.segmenter import Segmenter
from kit.panels.selection import Selection
from kit.panels.spans import Spans
from kit.panels.tower_cases import examine, untrained
from kit.panels.towers import Towers

__all__ = [
    "Ablations",
    "BarPanel",
    "Explorer",
    "Groups",
    "HeadGrid",
    "HeatPanel",
    "Panel",
    "Retrieval",
    "Segmenter",
    "Selection",
    "Spans",
    "Towers",
    "examine",
    "picture",
    "prompt_directions",
    "untrained",
]
