"""Maps of pictures for a direction, masks made of them, and other methods to hold them against."""

from kit.maps.attention import gradcam, raw_attention, rollout
from kit.maps.dense import clearclip, patch_cosine, value_only
from kit.maps.masks import Spread, perfect_iou, seen_mask, spread
from kit.maps.methods import METHODS, token_heatmap
from kit.maps.relevance import partial_lrp, transformer_attribution
from kit.maps.segment import Segmented, over_chance, segment, which_object
