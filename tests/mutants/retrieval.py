"""Mutants of retrieval by head: rankings from a store, precision, heads by role, the panel."""

from tests.mutants import Mutant

GALLERIES, MEASURE = "kit/parts/galleries.py", "kit/measures/retrieval.py"
TABLES, CASES = "kit/retrieval/tables.py", "kit/panels/nearest_images.py"
EXACT, TRUTH = "tests/exact/test_galleries.py", "tests/truth/test_retrieval.py"
PANEL = "tests/unit/test_panels_retrieval.py"

MUTANTS = [
    Mutant(
        "an image is its own nearest",
        GALLERIES,
        "            values[query.number] = -torch.inf\n",
        "            pass\n",
        (f"{EXACT}::test_the_image_itself_is_left_out[L5.H0]",),
    ),
    Mutant(
        "an uploaded picture of the gallery is not recognised",
        GALLERIES,
        "return int(number) if distance < SAME else None",
        "return None",
        (f"{EXACT}::test_a_picture_of_the_gallery_is_found_there_and_is_not_its_own_nearest",),
    ),
    Mutant(
        "the mean of the gallery stays in the query",
        GALLERIES,
        "asked = query.vectors - self.means if centred else query.vectors",
        "asked = query.vectors",
        (f"{EXACT}::test_scores_of_all_spaces_equal_the_slow_way[centred]",),
    ),
    Mutant(
        "coordinates are compared as if all were alike",
        GALLERIES,
        "own = ((heads @ self._gram) * heads).sum(-1)",
        "own = (heads * heads).sum(-1)",
        (f"{EXACT}::test_scores_of_all_spaces_equal_the_slow_way[raw]",),
    ),
    Mutant(
        "a layer forgets its MLP",
        GALLERIES,
        "layers[:, layer] += rest[:, place] @ of_layer[layer]",
        "layers[:, layer] += 0 * rest[:, place] @ of_layer[layer]",
        (f"{EXACT}::test_scores_of_all_spaces_equal_the_slow_way[product]",),
    ),
    Mutant(
        "chance counts the query itself",
        MEASURE,
        "return (counts[which] - 1) / (len(codes) - 1)",
        "return counts[which] / len(codes)",
        ("tests/unit/test_retrieval.py::test_chance_is_the_mean_over_all_rankings",),
    ),
    Mutant(
        "heads are chosen on the images that they are judged on",
        TABLES,
        "half, chosen = np.sort(order[::2]), np.sort(order[1::2])",
        "half = chosen",
        (f"{TRUTH}::test_without_heads_they_are_chosen_on_other_images_than_they_are_judged_on",),
    ),
    Mutant(
        "the random head may be the head itself",
        TABLES,
        '(heads["layer"] == mine) & (heads["name"] != head)',
        '(heads["layer"] == mine)',
        (f"{TRUTH}::test_the_random_head_is_the_expectation_over_the_others_of_the_layer",),
    ),
    Mutant(
        "a role need not be what a head is strongest in",
        TABLES,
        "own = strongest.loc[strongest.",
        "own = table.loc[table.",
        (f"{TRUTH}::test_roles_name_a_head_only_where_it_is_its_strongest_attribute",),
    ),
    Mutant(
        "pictures are marked whose value nobody knows",
        CASES,
        "codes[number] == codes[query.number] >= 0",
        "codes[number] == codes[query.number]",
        (f"{PANEL}::test_what_nobody_knows_is_not_shared",),
    ),
    Mutant(
        "the last query is taken for the next one",
        "kit/panels/nearest_images.py",
        "if self._asked[0] != state.query:",
        "if self._asked[0] is None:",
        ("tests/unit/test_panels_retrieval.py::test_the_query_is_not_among_its_nearest",),
    ),
    Mutant(
        "the last query's scores are shown for the next comparison",
        CASES,
        "key = state.query, state.how",
        "key = state.query",
        (f"{PANEL}::test_another_comparison_has_rankings_of_its_own[raw]",),
    ),
]
