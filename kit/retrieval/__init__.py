"""Nearest images by what a head writes: how well it finds an attribute, and planted heads to test that."""

from kit.parts.galleries import FULL, Gallery, Query
from kit.retrieval.labelled import LabelledGallery, attributes_of
from kit.retrieval.planted import compare_planted, planted
from kit.retrieval.tables import (
    best_head,
    others_of_layer,
    precisions,
    retrieval_table,
    retrieval_tables,
    role_heads,
    told,
)
