"""Measures of answers and maps, and their intervals. No model, no plotting."""

from kit.measures.answers import accuracy, confusions, hits, worst_group
from kit.measures.intervals import Interval, bootstrap_gap, bootstrap_interval
from kit.measures.maps import average_precision, mass_inside, pointing

__all__ = [
    "Interval",
    "accuracy",
    "average_precision",
    "bootstrap_gap",
    "bootstrap_interval",
    "confusions",
    "hits",
    "mass_inside",
    "pointing",
    "worst_group",
]
