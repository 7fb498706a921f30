"""Measures of answers: accuracies and their intervals. No model, no plotting."""

from kit.measures.answers import accuracy, confusions, hits, worst_group
from kit.measures.intervals import Interval, bootstrap_gap, bootstrap_interval

__all__ = ["Interval", "accuracy", "bootstrap_gap", "bootstrap_interval", "confusions", "hits", "worst_group"]
