"""Parts to words: banks of texts, the texts that span what each head writes, and maps into a CLIP's space."""

from kit.projections.aligned import Aligned, align, fitted, load_aligned, seen_by_both
from kit.projections.aligner_files import save_aligner
from kit.projections.aligners import (
    Aligner,
    centred_cosine,
    disagreement,
    effective_rank,
    fit,
    shared_rank,
)
from kit.projections.banks import Bank
from kit.projections.head_maps import HeadMaps, head_maps, maps_of_labels, maps_on_regions, written_at_gaze
from kit.projections.planted import lit_patches
from kit.projections.planted_worlds import WORLDS, noise_and_carrier, planted_parts, recovered
from kit.projections.prompts import apart, picture_direction, prompt_directions
from kit.projections.ranking import SCORES, feature_axes, rank_parts
from kit.projections.reconstruct import reconstructed, reconstructed_by, reconstructed_cosines
from kit.projections.textspan import TextSpan, own_texts, textspan
