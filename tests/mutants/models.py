"""Mutants of loading, preprocessing and encoding: kit/models."""

from tests.mutants import Mutant

MODEL, CLIP, TEXT = "kit/models/model.py", "kit/models/load_open_clip.py", "kit/models/text.py"
LOADS, OFFERS, IMAGES = (
    "tests/unit/test_load.py",
    "tests/unit/test_load_model.py",
    "tests/unit/test_images.py",
)
EXACT = "tests/exact/test_load.py"

MUTANTS = [
    Mutant(
        "a text direction is not made unit",
        MODEL,
        "vectors = normalize(self.text_tower.encode(chunk), dim=-1)",
        "vectors = self.text_tower.encode(chunk)",
        (f"{OFFERS}::test_text_directions_have_length_one",),
    ),
    Mutant(
        "the mean over templates is not made unit",
        MODEL,
        "else normalize(mean, dim=-1)",
        "else mean",
        (f"{OFFERS}::test_templates_give_the_unit_mean_of_unit_vectors",),
    ),
    Mutant(
        "the prompt is ignored: every text is encoded as the first",
        TEXT,
        "tokens = self.tokenizer(texts, context_length=self.context_length)",
        "tokens = self.tokenizer(texts[:1] * len(texts), context_length=self.context_length)",
        (f"{OFFERS}::test_text_directions_have_length_one",),
    ),
    Mutant(
        "the cache of texts outlives a change of the weights",
        MODEL,
        "if not same or stamp.hooks:",
        "if stamp is None or stamp.hooks:",
        (f"{OFFERS}::test_changed_text_weights_are_not_answered_from_the_cache",),
    ),
    Mutant(
        "the weights' hash outlives a change of the weights",
        MODEL,
        "if not self._hash or self._hash[0] != stamp:",
        "if not self._hash:",
        (f"{OFFERS}::test_the_hash_sees_values_names_and_shapes_but_not_precision",),
    ),
    Mutant(
        "a pass of the image tower is not counted",
        MODEL,
        'self.passes["image"] += 1',
        'self.passes["image"] += 0',
        (f"{OFFERS}::test_passes_count_towers_and_nothing_else",),
    ),
    Mutant(
        "a class direction keeps the mean of all classes",
        "kit/models/directions.py",
        "head[places[name]] - means[places[name]] for name",
        "head[places[name]] for name",
        (f"{OFFERS}::test_class_directions_are_head_rows_minus_their_mean",),
    ),
    Mutant(
        "the mean of the classes is taken over the wrong axis",
        "kit/models/directions.py",
        "return [head.mean(0)] * len(names)",
        "return list(head.mean(1))",
        (f"{OFFERS}::test_class_directions_are_head_rows_minus_their_mean",),
    ),
    Mutant(
        "principal components keep a random sign",
        "kit/models/directions.py",
        "vectors = vectors * largest.sign()",
        "vectors = vectors * -largest.sign()",
        (f"{OFFERS}::test_components_are_orthogonal_ordered_and_signed",),
    ),
    Mutant(
        "transparent pixels lie on black",
        "kit/models/images.py",
        'Image.new("RGBA", strip.size, "white")',
        'Image.new("RGBA", strip.size, "black")',
        (f"{IMAGES}::test_transparent_pixels_lie_on_white",),
    ),
    Mutant(
        "the rotation in a photograph's EXIF data is ignored",
        "kit/models/images.py",
        "image = _turned(image)",
        "image = image.copy()",
        (f"{IMAGES}::test_exif_rotation_is_applied",),
    ),
    Mutant(
        "what the model saw is shown with mean and std swapped",
        MODEL,
        "self.transform(image) * std + mean",
        "self.transform(image) * mean + std",
        (f"{EXACT}::test_viewed_shows_the_pixels_that_the_tower_reads",),
    ),
    Mutant(
        "QuickGELU of a published tag is ignored",
        CLIP,
        'bool(config.get("quick_gelu") or recipe.get("quick_gelu"))',
        'bool(config.get("quick_gelu"))',
        (f"{LOADS}::test_quickgelu_reaches_the_modules",),
    ),
    Mutant(
        "random weights pass for trained ones",
        CLIP,
        'trained=pretrained != "random"',
        "trained=True",
        (f"{LOADS}::test_random_weights_are_marked",),
    ),
]
