"""Mutants of heads × tokens: maps over many images, the panel of notebook 16, shares of tokens."""

from tests.mutants import Mutant

MAPS, CASES = "kit/projections/head_maps.py", "kit/panels/token_looks.py"
PANEL, MEASURE = "kit/panels/head_tokens.py", "kit/measures/maps.py"
EXACT, UNIT = "tests/exact/test_head_maps.py", "tests/unit/test_panels_head_tokens.py"

MUTANTS = [
    Mutant(
        "of two prompts that gain and lose the same, the last bit chooses",
        "kit/panels/token_words.py",
        "np.where(size > 0.999 * size.max(), look.reads, -np.inf)",
        "size",
        (
            "tests/unit/test_panels_token_words.py::"
            "test_of_two_prompts_that_gain_and_lose_the_same_the_one_that_gains_is_named",
        ),
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
        CASES,
        "for values in [*maps, *differences])",
        "for values in [maps[0]])",
        ("tests/exact/test_released_defects.py::test_d16_the_colours_of_two_maps_come_from_both[scales0]",),
    ),
    Mutant(
        "a picked token is one off",
        CASES,
        "reads = maps[:, tokens].sum(1) if tokens",
        "reads = maps[:, [t - 1 for t in tokens]].sum(1) if tokens",
        (f"{UNIT}::test_a_token_says_who_reads_it_for_which_prompt",),
    ),
    Mutant(
        "the film forgets the layers before",
        CASES,
        '"so far": each.cumsum(0)',
        '"so far": each',
        (f"{UNIT}::test_the_film_adds_up_layer_by_layer[so far]",),
    ),
    Mutant(
        "the attention of another head is shown",
        CASES,
        '[0, int(row["head"])]',
        '[0, int(row["head"]) - 1]',
        (f"{UNIT}::test_attention_is_a_share_and_does_not_hear_the_prompt",),
    ),
    Mutant(
        "other prompts show the maps of those before",
        CASES,
        "(state.model, state.image, state.texts, state.directions), asked)",
        "(state.model, state.image, state.directions), asked)",
        (f"{UNIT}::test_own_prompts_have_maps_of_their_own",),
    ),
    Mutant(
        "the held head takes the place of the clicked one",
        PANEL,
        "self.choose(selector=head + beside, **more)",
        'self.choose(selector=f"{self._held}, {head}" if beside else head, **more)',
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
