"""Parts to words: banks of texts, and the texts that span what each head writes."""

from kit.projections.banks import Bank
from kit.projections.head_maps import HeadMaps, head_maps, maps_of_labels, maps_on_regions, written_at_gaze
from kit.projections.planted import lit_patches
from kit.projections.prompts import apart, picture_direction, prompt_directions
from kit.projections.reconstruct import reconstructed, reconstructed_by, reconstructed_cosines
from kit.projections.textspan import TextSpan, own_texts, textspan
