"""Mutants of parts in the space of a CLIP: maps, files of maps, rankings, pairs, planted parts, panels."""

from tests.mutants import Mutant

ALIGNED, FILES = "kit/projections/aligned.py", "kit/projections/aligner_files.py"
ALIGNERS, RANKING = "kit/projections/aligners.py", "kit/projections/ranking.py"
PLANTED, PAIRS = "kit/projections/planted_worlds.py", "kit/world/pairs.py"
RANKS, MAPS = "kit/panels/ranking.py", "kit/panels/planted_maps.py"
EXACT, FITS = "tests/exact/test_aligned.py", "tests/truth/test_aligners.py"
RANKED, WORLDS = "tests/truth/test_ranking.py", "tests/truth/test_planted_worlds.py"
TWICE, GOLDEN = "tests/unit/test_pairs.py", "tests/golden/test_golden.py::test_a_panel_shows_what_it_showed"

MUTANTS = [
    Mutant(
        "a head's map of places is read by the map of the part before it",
        ALIGNED,
        "self.base.maps(directions @ self.model.aligner.weights[part].T, name, normalize=False, by=by)",
        "self.base.maps(directions @ self.model.aligner.weights[part - 1].T, name, normalize=False, by=by)",
        (
            f"{EXACT}::test_with_a_map_for_each_part_runs_give_what_the_maps_make_of_the_parts[marginal-stickers-deit]",
        ),
    ),
    Mutant(
        "maps for an image's own direction forget the length of the tower's representation",
        ALIGNED,
        "return total / self.base.norm[:, None]",
        "return total",
        (f"{EXACT}::test_each_image_has_maps_for_its_own_direction",),
    ),
    Mutant(
        "maps lead into a CLIP of the same name with other weights",
        ALIGNED,
        "if clip.weights_hash != weights:",
        "if clip.name != name:",
        (f"{EXACT}::test_maps_come_back_from_a_file_and_only_to_their_own_towers",),
    ),
    Mutant(
        "a tower and a CLIP may have read other pictures, as long as they are as many",
        ALIGNED,
        "if not np.array_equal(store.rows, seen.rows):",
        "if len(store) != len(seen):",
        (f"{EXACT}::test_as_many_but_other_pictures_are_refused",),
    ),
    Mutant(
        "two fits of a kind pass for the same model",
        ALIGNED,
        'return f"{self.base.weights_hash}+{self.aligner.digest}" if',
        'return f"{self.base.weights_hash}+{self.aligner.kind}" if',
        (f"{EXACT}::test_other_maps_of_a_kind_are_another_model",),
    ),
    Mutant(
        "a file of maps leaves out what parts vary by most",
        FILES,
        "axes = axes[:, left > left_out].to(weight)",
        "axes = axes[:, left <= 1 - left_out].to(weight)",
        (f"{EXACT}::test_maps_come_back_from_a_file_and_only_to_their_own_towers",),
    ),
    Mutant(
        "a training that goes on begins at the bias of parts that were not centred",
        ALIGNERS,
        "begin = rows, start.bias.to(parts) + (middle[:, None] @ rows).sum((0, 1))",
        "begin = rows, start.bias.to(parts)",
        (f"{FITS}::test_a_training_begins_with_what_it_starts_from",),
    ),
    Mutant(
        "the penalty of a ridge is the one of the least residual for a freedom, not of the least error",
        ALIGNERS,
        "(rest / freedom.clamp(min=1e-150).square()).item()",
        "(rest / freedom.clamp(min=1e-150)).item()",
        (f"{FITS}::test_of_few_images_much_is_shrunk_as_by_scikit_learn[0]",),
    ),
    Mutant(
        "two fits that share a mean agree",
        ALIGNERS,
        "flat = [(each - each.mean(0)).transpose(0, 1).flatten(1) for each in (one, other)]",
        "flat = [each.transpose(0, 1).flatten(1) for each in (one, other)]",
        (f"{FITS}::test_what_all_images_have_in_common_is_no_agreement",),
    ),
    Mutant(
        "of many texts the axes are kept along which they differ least",
        RANKING,
        "return inside[:axes].T",
        "return inside.flip(0)[:axes].T",
        (f"{RANKED}::test_large_banks_are_read_by_their_largest_axes",),
    ),
    Mutant(
        "every planted part gets a factor of its own, which flatters a map",
        PLANTED,
        "mapped = mapped * ((mapped * truth).sum() / mapped.square().sum())",
        "mapped = mapped * ((mapped * truth).sum((0, 2), True) / mapped.square().sum((0, 2), True))",
        (f"{WORLDS}::test_one_factor_stands_for_all_parts",),
    ),
    Mutant(
        "the two scenes of a pair are swapped",
        PAIRS,
        "for each in (codes, other))",
        "for each in (other, codes))",
        (
            f"{TWICE}::test_the_first_scene_is_the_one_that_is_drawn_and_the_second_the_changed_one[background]",
        ),
    ),
    Mutant(
        "the printed word may become the name of the object",
        PAIRS,
        'return free & (value != word_of(codes["concept"])[:, None])',
        "return free",
        (f"{TWICE}::test_no_word_names_the_object",),
    ),
    Mutant(
        "a factor is held against the mean of all factors, itself among them",
        "kit/measures/pairs.py",
        "np.delete(effects, own, axis=1).mean(1)",
        "effects.mean(1)",
        (f"{TWICE}::test_a_unit_that_knows_one_factor_has_a_selectivity_of_one[colour]",),
    ),
    Mutant(
        "ties stand at the last of their ranks",
        "kit/measures/agreement.py",
        "return (counts.cumsum() - (counts - 1) / 2)[places]",
        "return counts.cumsum()[places]",
        (f"{WORLDS}::test_rank_agreement_is_spearmans_and_its_interval_that_of_a_bootstrap",),
    ),
    Mutant(
        "parts between layers go with what stands before all layers",
        "kit/edits/by_layer.py",
        '.astype("Float64").ffill().fillna(-1)',
        '.astype("Float64").fillna(-1)',
        (f"{WORLDS}::test_a_part_between_layers_goes_with_the_layer_before_it",),
    ),
    Mutant(
        "each part goes alone, not after those before it",
        "kit/edits/answers.py",
        "            found.append(self.right(rows))\n",
        "            found.append(self.right(self.parts_of(selector)))\n",
        ("tests/truth/test_cue.py::test_parts_go_one_after_the_other",),
    ),
    Mutant(
        "the caption says that the picked part stands first",
        RANKS,
        'caption = f"For {about}, {first} stands first of',
        'caption = f"For {about}, {part} stands first of',
        (f"{GOLDEN}[Ranking]",),
    ),
    Mutant(
        "scores of every feature are held against the truth of the first",
        RANKS,
        "role_shares(tower.base, s.feature, kinds=None)",
        "role_shares(tower.base, FEATURES[0], kinds=None)",
        (f"{GOLDEN}[Ranking]",),
    ),
    Mutant(
        "parts are called right where only their sum is",
        MAPS,
        'right = "right" if found.error < 0.05 else "wrong"',
        'right = "right" if found.sum_error < 0.05 else "wrong"',
        (f"{GOLDEN}[PlantedMaps]",),
    ),
]
