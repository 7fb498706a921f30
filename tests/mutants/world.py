"""Mutants of the stickers world: kit/world."""

from tests.mutants import Mutant

SAMPLE, SCENES, PAINT = "kit/world/sample.py", "kit/world/scenes.py", "kit/world/paint.py"
CAPTIONS = "kit/world/captions.py"
DRAWN, SAID = "tests/unit/test_world.py", "tests/unit/test_world_captions.py"
BIAS = "tests/truth/test_world_bias.py"

MUTANTS = [
    Mutant(
        "a scene depends on where the batch starts",
        SCENES,
        "index = torch.arange(start, start + n,",
        "index = torch.arange(0, n,",
        (f"{DRAWN}::test_a_scene_depends_on_its_number_alone",),
    ),
    Mutant(
        "the seed is ignored",
        "kit/world/chance.py",
        "VERSION * 1_000_003 + seed",
        "VERSION * 1_000_003",
        (f"{DRAWN}::test_another_seed_gives_other_scenes",),
    ),
    Mutant(
        "two attributes share a stream",
        SAMPLE,
        'chance.below("position", 5)',
        'chance.below("size", 5)',
        (f"{BIAS}::test_streams_are_independent",),
    ),
    Mutant(
        "the bias is ignored",
        SAMPLE,
        'chance.happens("biased", recipe.bias)',
        'chance.happens("biased", 0.0)',
        (f"{BIAS}::test_a_planted_bias_is_found_at_its_strength",),
    ),
    Mutant(
        "the held-out artist is among the seen ones",
        SAMPLE,
        '{"seen": SEEN,',
        '{"seen": SEEN + HELD_OUT,',
        (f"{DRAWN}::test_artists_are_those_that_were_asked_for",),
    ),
    Mutant(
        "left and right are swapped",
        SAMPLE,
        "torch.where(position == 0, -shift, torch.where(position == 1, shift, across))",
        "torch.where(position == 0, shift, torch.where(position == 1, -shift, across))",
        (f"{DRAWN}::test_positions_and_relations_are_where_the_labels_say",),
    ),
    Mutant(
        "the first object of a pair stands where the second should",
        SAMPLE,
        "(j == 0), -1, 1)",
        "(j == 0), 1, -1)",
        (f"{DRAWN}::test_positions_and_relations_are_where_the_labels_say",),
    ),
    Mutant(
        "masks keep what another object covers",
        PAINT,
        "masks[:, slot] &= ~covered",
        "masks[:, slot] &= True",
        (f"{DRAWN}::test_objects_that_touch_share_no_pixel_of_their_masks",),
    ),
    Mutant(
        "masks keep what a printed word covers",
        PAINT,
        "masks[scene] = masks[scene] & ~box",
        "masks[scene] = masks[scene] & True",
        (f"{DRAWN}::test_words_can_be_read_inside_their_box",),
    ),
    Mutant(
        "every caption is that of the first scene",
        CAPTIONS,
        "columns = [said[name].tolist() for name in MENTIONED]",
        "columns = [said[name][:1].tolist() * len(scenes) for name in MENTIONED]",
        (f"{SAID}::test_the_clean_mix_prints_no_word_beside_an_object",),
    ),
    Mutant(
        "a relation said from the other side is not turned round",
        CAPTIONS,
        'relation = torch.where(swap, codes["relation"] ^ 1, codes["relation"])',
        'relation = codes["relation"]',
        (f"{SAID}::test_captions_are_true_of_their_own_scene",),
    ),
    Mutant(
        "the background of a caption is not compared",
        CAPTIONS,
        'holds & _fits(mentions["background"], codes["background"]) &',
        "holds &",
        (f"{SAID}::test_captions_are_false_of_a_scene_with_another_value",),
    ),
]
