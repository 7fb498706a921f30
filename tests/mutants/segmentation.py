"""Mutants of maps, masks and their figures: kit/maps, and what measures, reads and shows them."""

from tests.mutants import Mutant

MASKS, MEASURES = "kit/maps/masks.py", "kit/measures/segmentation.py"
EXACT, FILE = "tests/exact/test_segmentation.py", "tests/unit/test_imagenet_segmentation.py"
PANEL = "tests/unit/test_panels_segmenter.py"

MUTANTS = [
    Mutant(
        "D3: the mask is squashed while the picture is cropped",
        MASKS,
        'if protocol == "released":',
        "if True:",
        (f"{EXACT}::test_d3_the_released_protocol_loses_what_the_reference_says[(448, 672)-0.67]",),
    ),
    Mutant(
        "D12: the cut is the mean of the whole batch",
        MASKS,
        "found = heat > heat.mean((1, 2), keepdim=True)",
        "found = heat > heat.mean()",
        (
            f"{EXACT}::test_d12_each_image_is_stretched_and_cut_by_itself_and_nothing_is_no_number",
            f"{EXACT}::test_d12_a_batch_of_eight_gives_what_single_images_give",
        ),
    ),
    Mutant(
        "maps are not clipped at zero",
        MASKS,
        "align_corners=False)[:, 0].clamp(min=0)",
        "align_corners=False)[:, 0]",
        (f"{EXACT}::test_a_map_is_clipped_before_it_is_cut",),
    ),
    Mutant(
        "the mean of the classes is not taken away",
        "kit/maps/segment.py",
        "own = vectors[classes] - vectors.mean(0)",
        "own = vectors[classes] - 0 * vectors.mean(0)",
        (f"{EXACT}::test_d13_one_vector_is_the_class_minus_the_mean_of_all_in_single_precision",),
    ),
    Mutant(
        "IoU is averaged over images instead of made of sums",
        MEASURES,
        "found = _figures(self.counts.sum(0)[None], self.precision.mean()[None])",
        "found = _figures(self.counts, self.precision).mean(0)[None]",
        (f"{EXACT}::test_sums_of_sizes_and_batches_are_those_of_one_by_one",),
    ),
    Mutant(
        "the rest is no class",
        MEASURES,
        "ious = np.stack([_ratio(both, either), _ratio(rest_both, rest_either)])",
        "ious = np.stack([_ratio(both, either)])",
        (f"{EXACT}::test_figures_are_those_of_torchmetrics",),
    ),
    Mutant(
        "relevance is shared out over all images of a batch",
        "kit/maps/relevance.py",
        "totals = [p.flatten(1).sum(1) for p in parts]",
        "totals = [p.sum().expand(len(p)) for p in parts]",
        (f"{EXACT}::test_relevance_does_not_depend_on_the_other_images_of_a_batch",),
    ),
    Mutant(
        "GradCAM forgets the gradient",
        "kit/maps/attention.py",
        "(pattern * weight).mean((1, 2)).clamp(min=0)",
        "pattern.mean((1, 2)).clamp(min=0)",
        (f"{EXACT}::test_planted_the_opposite_direction_turns_all_but_the_blind[GradCAM of heads]",),
    ),
    Mutant(
        "pictures of the file lie on their side",
        "kit/data/segmentation.py",
        "Image.fromarray(np.ascontiguousarray(values.T))",
        "Image.fromarray(np.ascontiguousarray(np.moveaxis(values, 0, -1) if values.ndim == 3 else values))",
        (f"{FILE}::test_pictures_and_masks_come_back_upright",),
    ),
    Mutant(
        "the truth is every object, whatever is asked for",
        "kit/maps/pictures.py",
        """return (own, f"the {text}") if own else""",
        """return (own, f"the {text}") if False else""",
        (f"{PANEL}::test_map_mask_and_iou_are_those_of_the_method",),
    ),
]
