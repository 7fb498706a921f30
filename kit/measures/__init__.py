"""Measures of answers, maps and roles, and their intervals. No model, no plotting."""

from kit.measures.agreement import Agreement, agreement, agreement_table, rank_agreement
from kit.measures.answers import accuracy, answer_changes, confusions, hits
from kit.measures.changes import Resampled, changes, in_percent, resampled
from kit.measures.groups import GroupBootstrap
from kit.measures.intervals import Interval, beside_random, bootstrap_gap, bootstrap_interval
from kit.measures.maps import (
    average_precision,
    mass_elsewhere,
    mass_inside,
    pointing,
    points_apart,
    token_shares,
)
from kit.measures.pairs import PairEffects, pair_effects
from kit.measures.retrieval import chance_precision, precision_at_k, shuffled_precision
from kit.measures.roles import Shares, family_bound, variance_share
from kit.measures.segmentation import Segmentation, segmentation_table
