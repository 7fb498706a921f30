"""Sabotages of folders, sets of others, released lists, maps in float64, memory, and what a pass says.

Written from the code alone, before the tests were looked at.
"""

from tests.mutants import Mutant

LISTING, IMAGES, SETS = "kit/data/listing.py", "kit/models/images.py", "kit/data/sets.py"
FOLDERS, LISTS = "tests/unit/test_folders.py", "tests/exact/test_released_lists.py"
BAD = "tests/unit/test_bad_pictures.py"

MUTANTS = [
    Mutant(
        "a link is followed before folders in their own place are listed",
        LISTING,
        "                elif entry.is_symlink():\n                    self.links.append(name)",
        "                elif entry.is_symlink():\n                    self.follow(name)",
        (f"{FOLDERS}::test_a_folder_is_listed_in_its_own_place_whatever_the_links_are_called",),
    ),
    Mutant(
        "a folder behind two links is listed twice",
        LISTING,
        "        self.seen.add(node)\n",
        "",
        (f"{FOLDERS}::test_of_two_links_to_a_folder_the_first_is_taken",),
    ),
    Mutant(
        "files of an unknown suffix are never looked into",
        LISTING,
        "if begins_as_image(file.read(STARTS)):",
        "if False:",
        (f"{FOLDERS}::test_a_file_without_a_known_suffix_is_told_by_its_content",),
    ),
    Mutant(
        "images of a phone are passed over without a warning",
        LISTING,
        "LOST = (NOT_READ, NOWHERE, CLOSED)",
        "LOST = (NOWHERE, CLOSED)",
        (f"{FOLDERS}::test_each_reason_for_which_images_may_be_missing_is_warned_of",),
    ),
    Mutant(
        "what lies behind a link to a folder does not count as reached by a link",
        LISTING,
        'self.over(f"{name}/", name)',
        'self.over(f"{name}/", "")',
        (f"{FOLDERS}::test_links_are_followed_out_of_the_folder_and_counted",),
    ),
    Mutant(
        "an item of a pair is its label",
        IMAGES,
        "return item[0] if isinstance(item, tuple | list) and item else item",
        "return item[-1] if isinstance(item, tuple | list) and item else item",
        (f"{FOLDERS}::test_a_set_of_pairs_is_taken_with_its_labels_past_a_bad_one",),
    ),
    Mutant(
        "of some of torchvision's images the first ones are taken",
        SETS,
        "return whole and whole.take(list(images.indices))",
        "return whole and whole.take(list(range(len(images.indices))))",
        (f"{FOLDERS}::test_labels_of_torchvision_are_kept_and_its_transform_is_said",),
    ),
    Mutant(
        "the memory of a picture is counted without its file",
        IMAGES,
        "* max(decoding, held + again) + size",
        "* max(decoding, held + again)",
        (f"{BAD}::test_a_picture_that_would_take_too_much_memory_is_refused_unread",),
    ),
    Mutant(
        "a progressive JPEG is counted as a plain one",
        IMAGES,
        'if info.get("progressive") or info.get("progression"):',
        "if False:",
        (f"{BAD}::test_a_picture_that_would_take_too_much_memory_is_refused_unread",),
    ),
    Mutant(
        "a picture that was read keeps its EXIF and is turned again",
        IMAGES,
        "    picture.info = {}",
        "    pass",
        (f"{BAD}::test_an_orientation_that_can_be_read_is_followed_once",),
    ),
    Mutant(
        "directions of rounding are left out of the released span",
        "kit/projections/textspan.py",
        "(NO_DIRECTION**0.5 if rank is None else 0.0)",
        "NO_DIRECTION**0.5",
        (f"{LISTS}::test_lists_are_those_of_the_released_algorithm[80]",),
    ),
    Mutant(
        "moments of the paper's convention merge by the first root alone",
        "kit/parts/moments.py",
        "torch.linalg.qr(torch.cat([self.root, other.root], 1)).R",
        "self.root",
        (f"{LISTS}::test_mean_and_covariance_are_those_of_the_parts",),
    ),
    Mutant(
        "parts of the released lists are kept in the model's precision",
        "kit/parts/moments.py",
        "(values[:, rows] / run.norm[:, None, None]).float()",
        "(values[:, rows] / run.norm[:, None, None])",
        (f"{LISTS}::test_a_model_in_float64_is_rounded_as_the_released_files_are",),
    ),
    Mutant(
        "tokens of a head share its constants by head, not by token",
        "kit/parts/paper.py",
        "constants[:, row] / share.shape[1]",
        "constants[:, row]",
        (f"{LISTS}::test_token_maps_are_those_of_the_released_logger",),
    ),
    Mutant(
        "relevance is computed in the model's precision",
        "kit/maps/relevance.py",
        "if model.dtype == torch.float64:",
        "if True:",
        ("tests/exact/test_segmentation.py::test_maps_of_relevance_are_those_of_float64",),
    ),
    Mutant(
        "a panel on a folder reads every picture at once",
        "kit/maps/pictures.py",
        "        return SetPictures(as_set(images))\n",
        "        held = SetPictures(as_set(images))\n        return {name: held[name] for name in held}\n",
        (f"{FOLDERS}::test_a_panel_reads_the_pictures_of_a_folder_when_they_are_looked_at",),
    ),
    Mutant(
        "a pass into a file writes its bars over each other",
        "kit/data/passes.py",
        "if state := text.strip():",
        "if state := text:",
        ("tests/unit/test_pass_command.py::test_each_state_of_a_bar_is_a_line_where_nothing_moves",),
    ),
]
