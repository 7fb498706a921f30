"""Mutants of heads × tokens: maps over many images, the panel of notebook 16, shares of tokens."""

from tests.mutants import Mutant

MAPS, READING = "kit/projections/head_maps.py", "kit/maps/reading.py"
PANEL, MEASURE = "kit/panels/head_tokens.py", "kit/measures/maps.py"
EXACT, UNIT = "tests/exact/test_head_maps.py", "tests/unit/test_panels_head_tokens.py"
READS = "tests/unit/test_maps_reading.py"

MUTANTS = [
    Mutant(
        "of two prompts that gain and lose the same, the last bit chooses",
        READING,
        "np.where(size > 0.999 * size.max(), self.reads, -np.inf)",
        "size",
        (f"{READS}::test_of_two_prompts_that_gain_and_lose_the_same_the_one_that_gains_is_named",),
    ),
    Mutant(
        "every image is asked for the first direction of its batch",
        MAPS,
        "values[name].append(maps[torch.arange(len(own)), :, :, own])",
        "values[name].append(maps[torch.arange(len(own)), :, :, 0 * own])",
        (f"{EXACT}::test_over_tokens_the_score_and_over_heads_the_token",),
    ),
    Mutant(
        "the colours of two maps come from the first alone",
        READING,
        "for values in [*maps, *differences])",
        "for values in [maps[0]])",
        ("tests/exact/test_released_defects.py::test_d16_the_colours_of_two_maps_come_from_both[scales0]",),
    ),
    Mutant(
        "a picked token is one off",
        READING,
        "reads = self.maps[:, list(tokens)].sum(1) if",
        "reads = self.maps[:, [t - 1 for t in tokens]].sum(1) if",
        (f"{UNIT}::test_a_token_says_who_reads_it_for_which_prompt",),
    ),
    Mutant(
        "the film forgets the layers before",
        READING,
        '"so far": each.cumsum(0)',
        '"so far": each',
        (f"{READS}::test_the_film_adds_up_layer_by_layer[so far]",),
    ),
    Mutant(
        "the attention of another head is shown",
        READING,
        '[0, int(row["head"])]',
        '[0, int(row["head"]) - 1]',
        (f"{UNIT}::test_attention_is_a_share_and_does_not_hear_the_prompt",),
    ),
    Mutant(
        "other prompts show the maps of those before",
        PANEL,
        "self.read(s.image, s.texts, s.directions)",
        "self.read(s.image, self._plain['texts'], s.directions)",
        (f"{UNIT}::test_own_prompts_have_maps_of_their_own",),
    ),
    Mutant(
        "the held head takes the place of the clicked one",
        PANEL,
        "[first] != held else [*now, *held]",
        "[first] != held else [*held, *now]",
        (f"{UNIT}::test_a_held_head_stays_while_others_are_clicked",),
    ),
    Mutant(
        "rows and columns of a mask are exchanged",
        MEASURE,
        "return cells.mean((3, 5)).flatten(2)",
        "return cells.mean((3, 5)).mT.flatten(2)",
        (f"{EXACT}::test_shares_are_counted_pixel_by_pixel",),
    ),
]
