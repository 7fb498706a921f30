"""Mutants of the measured tables: kit/workshop/cards, and the intervals and scenes that they need."""

from tests.mutants import Mutant

WORDS, MEMBERS, GROUPS = (
    "kit/workshop/cards/words.py",
    "kit/workshop/cards/members.py",
    "kit/measures/groups.py",
)
TESTS = "tests/unit/test_cards.py"

MUTANTS = [
    Mutant(
        "the attack is measured against the right word",
        WORDS,
        '"typographic attack: drop", artists, right["none"] - right["wrong"]',
        '"typographic attack: drop", artists, right["right"] - right["none"]',
        (f"{TESTS}::test_the_attack_finds_a_reader_and_nothing_else",),
    ),
    Mutant(
        "the wrong word may be the right one",
        WORDS,
        "wrong = (right + 1 + Chance",
        "wrong = (right + Chance",
        (f"{TESTS}::test_the_three_scenes_of_an_attack_differ_in_the_word_alone",),
    ),
    Mutant(
        "a scene is drawn anew when its word changes",
        "kit/world/printed.py",
        "Chance(scenes.seed, scenes.index), scenes.codes |",
        "Chance(scenes.seed + 1, scenes.index), scenes.codes |",
        (
            f"{TESTS}::test_the_three_scenes_of_an_attack_differ_in_the_word_alone",
            f"{TESTS}::test_words_go_back_to_what_they_were",
        ),
    ),
    Mutant(
        "a probability that is too small becomes an infinity",
        MEMBERS,
        "logits.log_softmax(1).float()",
        "logits.softmax(1).log().float()",
        (f"{TESTS}::test_a_probe_answers_with_the_logarithms_of_its_probabilities",),
    ),
    Mutant(
        "a model that reads no text is offered where prompts are asked",
        "kit/models/names.py",
        '("open_clip",) if texts',
        '("open_clip", "timm") if texts',
        ("tests/truth/test_shipped.py::test_models_are_offered_where_prompts_are_asked_if_they_read_them",),
    ),
    Mutant(
        "a probe answers with a value that it never saw",
        MEMBERS,
        "NEVER = -1e9",
        "NEVER = 1e9",
        (f"{TESTS}::test_a_value_that_a_probe_never_saw_is_never_its_answer",),
    ),
    Mutant(
        "the worst group is the largest",
        GROUPS,
        "return self.groups[int(value[:place].argmin())], accuracy, gap",
        "return self.groups[int(self.sizes.argmax())], accuracy, gap",
        (f"{TESTS}::test_the_worst_group_is_found_with_its_gap",),
    ),
    Mutant(
        "draws keep the worst group of the images as they are",
        GROUPS,
        "gaps = drawn[:, place + 1] - drawn[:, place]",
        "gaps = value[place + 1] - drawn[:, place]",
        (f"{TESTS}::test_the_worst_group_is_found_with_its_gap",),
    ),
    Mutant(
        "a box changes nothing",
        "kit/workshop/training/loop.py",
        "(inside & (chosen < share))[:, None], box[:, None], pixels)",
        "(inside & (chosen < 0))[:, None], box[:, None], pixels)",
        ("tests/unit/test_training.py::test_boxes_hide_a_part_of_some_images",),
    ),
    Mutant(
        "boxes are laid in every phase as in the last",
        "kit/workshop/training/loop.py",
        "boxes = self.recipe.phase(self.seen).boxes",
        "boxes = self.recipe.phases[-1].boxes",
        ("tests/unit/test_training.py::test_boxes_are_laid_in_the_phases_that_say_so",),
    ),
]
