"""Mutants of scenes at a model's own size, and of words that are printed by hand."""

from tests.mutants import Mutant

SIZED, HAND = "tests/unit/test_scenes_sized.py", "tests/unit/test_printed_by_hand.py"

MUTANTS = [
    Mutant(
        "scenes are painted as the longer side of a model would have them",
        "kit/world/scenes.py",
        "min(model.image_size) // SIZE",
        "max(model.image_size) // SIZE",
        (f"{SIZED}::test_a_scene_has_the_largest_whole_multiple_of_64_pixels_that_fits",),
    ),
    Mutant(
        "a model is given scenes as they are",
        "kit/models/model.py",
        "images.sized_for(self).images if isinstance",
        "images.images if isinstance",
        (f"{SIZED}::test_a_model_of_128_pixels_sees_scenes_that_were_painted_so",),
    ),
    Mutant(
        "a pass goes over the scenes as they are",
        "kit/parts/collect.py",
        "as_set(images, model)",
        "as_set(images)",
        (f"{SIZED}::test_a_pass_goes_over_the_painted_scenes",),
    ),
    Mutant(
        "a panel on a store looks for the scenes as they are",
        "kit/parts/stored.py",
        "as_set(images, model)",
        "as_set(images)",
        (f"{SIZED}::test_a_panel_on_a_store_knows_the_scenes_again",),
    ),
    Mutant(
        "a picture is painted anew and its masks are not",
        "kit/maps/pictures.py",
        "image=_image(scene, 0), masks=masks, scene=scene",
        "image=_image(scene, 0), scene=scene",
        (f"{SIZED}::test_each_model_of_a_panel_gets_the_picture_at_its_own_size",),
    ),
    Mutant(
        "the second model of a panel gets the picture of the first",
        "kit/panels/pictures.py",
        "(name, model.label), lambda",
        "(name, ''), lambda",
        (f"{SIZED}::test_each_model_of_a_panel_gets_the_picture_at_its_own_size",),
    ),
    Mutant(
        "a word that is printed changes the name and not the run",
        "kit/panels/encoded.py",
        'return f"{state.image}{PRINTED}{word}" if word else state.image',
        "return state.image",
        (f"{HAND}::test_the_model_that_reads_is_fooled_and_its_twin_is_not",),
    ),
    Mutant(
        "objects are outlined where a word hides them",
        "kit/maps/pictures.py",
        "masks & ~box",
        "masks",
        (f"{HAND}::test_the_outline_leaves_out_what_the_word_hides",),
    ),
    Mutant(
        "a word is always printed below",
        "kit/world/printed.py",
        "top = edge if above else image.height - ink.height - edge",
        "top = image.height - ink.height - edge",
        (f"{HAND}::test_a_word_lies_at_the_edge_that_was_asked_for",),
    ),
]
