"""Sabotages of the papers' data sets and their labels."""

from tests.mutants import Mutant

TESTS = "tests/unit/test_papers.py"
IMAGENET, SETS, WATERBIRDS = (f"kit/data/{name}.py" for name in ("imagenet", "sets", "waterbirds"))

MUTANTS = [
    Mutant(
        "an image's label is its place in the list",
        IMAGENET,
        'labels.insert(0, "y", pd.Index(classes.wnid).get_indexer(labels.wnid))',
        'labels.insert(0, "y", [i // 50 for i in range(len(labels))])',
        (
            f"{TESTS}::test_d10_labels_stay_right_in_a_subset_and_in_another_order",
            f"{TESTS}::test_planted_labels_reach_the_accuracy_of_a_store[flat]",
        ),
    ),
    Mutant(
        "classes are counted among those that are there",
        IMAGENET,
        "pd.Index(classes.wnid).get_indexer(labels.wnid)",
        "labels.wnid.astype('category').cat.codes",
        (f"{TESTS}::test_class_folders_are_found_where_people_have_them[val]",),
    ),
    Mutant(
        "the devkit's numbers are taken for the usual order",
        IMAGENET,
        "ids[int(number)] for place",
        "imagenet_classes().wnid[int(number) - 1] for place",
        (f"{TESTS}::test_a_flat_folder_is_labelled_by_the_devkit_whose_order_is_not_the_usual_one[.]",),
    ),
    Mutant(
        "images that are taken keep the labels of the first ones",
        SETS,
        "labels = self.labels.iloc[chosen].reset_index(drop=True)",
        "labels = self.labels.iloc[: len(chosen)].reset_index(drop=True)",
        (f"{TESTS}::test_d10_labels_stay_right_in_a_subset_and_in_another_order",),
    ),
    Mutant(
        "a set with other labels is the same set",
        SETS,
        "(super().digest + self.labels.to_csv())",
        "(super().digest)",
        (f"{TESTS}::test_other_labels_are_another_set",),
    ),
    Mutant(
        "bird and background change places",
        WATERBIRDS,
        '"place": [bird["place"] for bird in birds]',
        '"place": [bird["y"] for bird in birds]',
        (f"{TESTS}::test_waterbirds_are_read_by_split_with_both_labels",),
    ),
    Mutant(
        "a table may name files outside its folder",
        "kit/data/tables.py",
        'or path.root or ".." in path.parts',
        "or path.root",
        (f"{TESTS}::test_a_path_in_a_table_that_leaves_its_folder_is_refused[../out.jpg]",),
    ),
    Mutant(
        "a class name keeps its underscores in a prompt",
        "kit/data/classes.py",
        "readables = [readable(name) for name in names]",
        "readables = [str(name) for name in names]",
        (f"{TESTS}::test_class_vectors_are_the_means_of_unit_prompts",),
    ),
]
