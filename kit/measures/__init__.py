"""Measures of answers and maps, and their intervals. No model, no plotting."""

from kit.measures.answers import accuracy, confusions, hits, worst_group
from kit.measures.intervals import (
    Interval,
    WorstGroup,
    bootstrap_gap,
    bootstrap_interval,
    bootstrap_worst_group,
)
from kit.measures.maps import average_precision, mass_inside, pointing

__all__ = [
    "Interval",
    "WorstGroup",
    "accuracy",
    "average_precision",
    "bootstrap_gap",
    "bootstrap_interval",
    "bootstrap_worst_group",
    "confusions",
    "hits",
    "mass_inside",
    "pointing",
    "worst_group",
]
