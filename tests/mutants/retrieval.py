"""Mutants of retrieval by head: rankings from a store, precision, heads by role, the panel."""

from tests.mutants import Mutant

GALLERIES, MEASURE = "kit/parts/galleries.py", "kit/measures/retrieval.py"
TABLES, LABELLED = "kit/retrieval/tables.py", "kit/retrieval/labelled.py"
SHOWS = "kit/panels/retrieval.py"
EXACT, TRUTH = "tests/exact/test_galleries.py", "tests/truth/test_retrieval.py"
TILES = "tests/unit/test_figures_tiles.py"
PANEL, ASKED = "tests/unit/test_panels_retrieval.py", "tests/unit/test_labelled_gallery.py"

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
        LABELLED,
        "codes[number] == codes[query.number] >= 0",
        "codes[number] == codes[query.number]",
        (f"{ASKED}::test_what_nobody_knows_is_not_shared",),
    ),
    Mutant(
        "the last query is taken for the next one",
        SHOWS,
        "return self.kept(name, lambda: self.gallery.query(int(number)))",
        'return self.kept("query", lambda: self.gallery.query(int(number)))',
        (f"{PANEL}::test_the_query_is_not_among_its_nearest",),
    ),
    Mutant(
        "the last query's scores are shown for the next query",
        LABELLED,
        "if self._scored[0] is not query or self._scored[1] != how:",
        "if self._scored[1] != how:",
        (f"{ASKED}::test_the_nearest_are_those_of_a_plain_gallery_whatever_was_asked_before",),
    ),
    Mutant(
        "the last query's scores are shown for the next comparison",
        LABELLED,
        "if self._scored[0] is not query or self._scored[1] != how:",
        "if self._scored[0] is not query:",
        (f"{PANEL}::test_another_comparison_has_rankings_of_its_own[raw]",),
    ),
    Mutant(
        "the gain of a head is not held against chance",
        LABELLED,
        "(codes[near] == codes[like]).mean(0) - chance",
        "(codes[near] == codes[like]).mean(0)",
        (f"{ASKED}::test_the_gain_is_the_share_of_the_nearest_less_that_of_all_others",),
    ),
    Mutant(
        "the heading says that the marked attribute is shown where it is not",
        LABELLED,
        'shares, unit = self.overlap(query, k, how), "share also near by the full model"',
        'shares, unit = self.overlap(query, k, how), f"share with its {attribute}, minus chance"',
        (f"{PANEL}::test_the_grid_says_what_it_shows",),
    ),
    Mutant(
        "the oldest upload goes, though it was looked at last",
        "kit/panels/declared.py",
        "self.uploads.pop(name, None)  # the latest come last",
        "pass",
        (f"{PANEL}::test_the_latest_uploads_are_kept",),
    ),
    Mutant(
        "the file that was uploaded is not named",
        SHOWS,
        'truth=f"The query is {told}." if upload else ""',
        'truth=f"The query is {s.query}." if upload else ""',
        (f"{PANEL}::test_an_upload_runs_the_tower_once",),
    ),
    Mutant(
        "the chart shows the head's precision for every space",
        LABELLED,
        "np.stack([table[column] for table in self.precision.values()], 1)",
        'np.stack([self.precision["head"][column] for table in self.precision.values()], 1)',
        (f"{PANEL}::test_the_chart_is_the_precision_of_the_four_spaces",),
    ),
    Mutant(
        "a tip says another picture than the one beside it",
        "kit/figures/strip.py",
        "self.framed or blank, self.tips or blank)",
        "self.framed or blank, self.tips[::-1] or blank)",
        (
            f"{PANEL}::test_marks_are_true",
            f"{TILES}::test_tips_say_what_pictures_are_where_there_are_some",
        ),
    ),
]
