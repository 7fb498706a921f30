"""Mutants of notebook 20's panel, of untrained towers and of the verdict on them."""

from tests.mutants import Mutant

PANEL, BASE, FIELDS = "kit/panels/any_model.py", "kit/panels/declared.py", "kit/panels/fields.py"
EXAMINE, UNTRAINED = "kit/parts/examine.py", "kit/models/untrained.py"
DIRECTIONS = "kit/projections/prompts.py"
TESTS = "tests/unit/test_panels_any_model.py"


def by(*names: str) -> tuple[str, ...]:
    """Tests of that file."""
    return tuple(f"{TESTS}::{name}" for name in names)


MUTANTS: list[Mutant] = [
    Mutant(
        "a head click runs the tower again",
        PANEL,
        "held = runs.of(s.image,",
        "held = Latest(RUNS).of(s.image,",
        by("test_a_head_picked_changes_map_and_caption_and_runs_no_tower"),
    ),
    Mutant(
        "a tower that is refused takes the place of the last one",
        PANEL,
        "            self.towers[s.model] = self.given.get(s.model) or untrained(s.model, say=self.say), "
        "Latest(RUNS)",
        "            self.towers.clear()\n"
        "            self.towers[s.model] = untrained(s.model, say=self.say), Latest(RUNS)",
        by("test_a_refused_tower_is_a_sentence_and_the_last_one_stays"),
    ),
    Mutant(
        "a wrong name is wiped away",
        FIELDS,
        'if value != getattr(control, "shown", None):',
        "if True:",
        by("test_another_direction_keeps_what_was_typed"),
    ),
    Mutant(
        "runs of the tower before are kept",
        PANEL,
        "        self.towers = {self.selection.model: self.towers[self.selection.model]}\n"
        "        ((self.model, _),) = self.towers.values()\n",
        "        self.model = self.towers[self.selection.model][0]\n",
        by("test_another_tower_replaces_the_first"),
    ),
    Mutant(
        "nothing is said while a tower is built",
        BASE,
        "            self._busy.text = text\n",
        "            pass\n",
        by("test_it_says_what_it_does_while_it_builds_and_takes_no_other_change"),
    ),
    Mutant(
        "controls stay locked when building fails",
        BASE,
        "                self._lock(False)\n",
        '                self._lock(self.message != "")\n',
        by("test_another_error_is_kept_and_shown"),
    ),
    Mutant(
        "the representation's own direction is taken for every question",
        DIRECTIONS,
        "    if name == APART:\n",
        "    if False:\n",
        by("test_each_direction_splits_its_own_cosine"),
    ),
    Mutant(
        "the random direction is another one each time",
        DIRECTIONS,
        "torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(z)",
        "torch.randn(z.shape).to(z)",
        by("test_the_random_direction_is_the_same_each_time"),
    ),
    Mutant(
        "masks are not cut where the tower cuts the picture",
        "kit/maps/pictures.py",
        "            masks = np.stack([seen_mask(model, mask).numpy() for mask in masks])\n",
        "            pass\n",
        by("test_masks_are_cut_as_the_tower_cuts_the_picture"),
    ),
    Mutant(
        "a refusal is called a failure",
        EXAMINE,
        'return Examined(model.name, "refused", str(refusal))',
        'return Examined(model.name, "failed", str(refusal))',
        by("test_verdicts"),
    ),
    Mutant(
        "a partial tower is not said to hide anything",
        EXAMINE,
        '    if found.verdict == "exact":\n',
        "    if True:\n",
        by("test_verdicts"),
    ),
    Mutant(
        "a side that the patches do not divide is taken",
        UNTRAINED,
        "side % first == 0 and ",
        "",
        by("test_a_tower_gets_a_small_input_that_it_takes[vit_small_patch14_reg4_dinov2-112]"),
    ),
    Mutant(
        "a side is taken that the windows do not tile",
        UNTRAINED,
        " and _takes(name, architecture, side)",
        "",
        by("test_a_tower_gets_a_small_input_that_it_takes[maxvit_tiny_tf_224-128]"),
    ),
    Mutant(
        "the state of before is not brought back",
        BASE,
        "        self._set(self._good)\n",
        "        pass\n",
        by("test_one_picture_cannot_be_set_apart"),
    ),
    Mutant(
        "the tokens of the tower before are asked of the next",
        PANEL,
        '"selector": "none", "tokens": ""}',
        '"selector": "none"}',
        by("test_places_of_one_tower_are_not_asked_of_the_next"),
    ),
    Mutant(
        "memory is not looked at before a tower is built",
        UNTRAINED,
        "    if needed > free:",
        "    if False:",
        by("test_what_does_not_fit_in_memory_is_said_before_it_is_built"),
    ),
]
