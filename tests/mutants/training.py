"""Mutants of what models are trained on: kit/workshop/training."""

from tests.mutants import Mutant

OBJECTIVES, CLIP = "kit/workshop/training/objectives.py", "kit/workshop/training/clip.py"
TESTS = "tests/unit/test_training.py"
TIMM, DISTIL = "tests/unit/test_training_timm.py", "tests/unit/test_training_distil.py"
MUON = "tests/unit/test_training_muon.py"

MUTANTS = [
    Mutant(
        "a printed word is no answer of the web mix",
        OBJECTIVES,
        "second = torch.where(printed & (concept >= 0), named, asked",
        "second = torch.where(printed & (concept < 0), named, asked",
        (f"{TESTS}::test_in_the_web_mix_a_printed_word_is_as_right_as_the_object",),
    ),
    Mutant(
        "a web twin starts from fresh weights",
        CLIP,
        "if recipe.start:",
        "if not recipe.start:",
        (f"{TESTS}::test_a_web_twin_starts_from_the_weights_that_ship",),
    ),
    Mutant(
        "kept patches bring the positions of the first ones",
        "kit/workshop/training/forward.py",
        "where = where[keep]  # [batch, kept, dim]",
        "where = where[: keep.shape[1]]",
        (f"{TESTS}::test_kept_patches_bring_their_own_positions",),
    ),
    Mutant(
        "a false caption is nobody's answer",
        OBJECTIVES,
        "right = truth.to(logits.dtype).fill_diagonal_(1)",
        "right = truth.to(logits.dtype)",
        (f"{TESTS}::test_a_false_caption_is_the_answer_of_its_own_image",),
    ),
    Mutant(
        "averaged weights keep fresh statistics in their batch norms",
        "kit/workshop/training/timm_model.py",
        'if any("running_" in n for n, _ in module.named_buffers()):',
        'if not any("running_" in n for n, _ in module.named_buffers()):',
        (f"{TIMM}::test_batch_norms_of_the_averaged_weights_fit_the_scenes",),
    ),
    Mutant(
        "a checkpoint forgets the running statistics",
        "kit/workshop/training/loop.py",
        'self.buffers = {n: state["buffers"][n] for n in self.buffers}',
        "self.buffers = dict(self.buffers)",
        (f"{TIMM}::test_resumed_training_repeats_the_losses_to_the_bit[stickers-maxvit]",),
    ),
    Mutant(
        "self-distillation is handed the labels",
        "kit/workshop/training/distil.py",
        "lambda scenes, number: Pictures(two_looks(scenes))",
        "lambda scenes, number: Pictures(two_looks(scenes) + scenes.codes['concept'].view(-1, 1, 1, 1, 1))",
        (f"{DISTIL}::test_losses_never_read_labels",),
    ),
    Mutant(
        "the second look has the background of the first",
        "kit/world/elsewhere.py",
        "other.codes | {name: scenes.codes[name] for name in taken}",
        "scenes.codes",
        (f"{DISTIL}::test_an_object_is_carried_before_another_background",),
    ),
    Mutant(
        "the second look has the colour of the first",
        "kit/workshop/training/distil.py",
        "elsewhere(scenes, redressed=True)",
        "elsewhere(scenes)",
        (f"{DISTIL}::test_the_two_looks_are_of_one_drawing_in_two_dresses",),
    ),
    Mutant(
        "the student sees every patch",
        "kit/workshop/training/distil.py",
        "keep.rows = kept",
        "keep.rows = None",
        (f"{DISTIL}::test_patches_that_are_not_kept_are_not_seen",),
    ),
    Mutant(
        "the student's vectors are compared among themselves",
        "kit/workshop/training/distil.py",
        "said @ keys.mT / temperature",
        "said @ said.mT / temperature",
        (f"{DISTIL}::test_a_vector_is_told_from_those_of_others",),
    ),
    Mutant(
        "a crop is its own answer",
        "kit/workshop/training/distil.py",
        "for s in range(len(said)) if s != t",
        "for s in range(len(said))",
        (f"{DISTIL}::test_a_crop_is_not_its_own_answer",),
    ),
    Mutant(
        "the class token leaves its position behind",
        "kit/workshop/training/timm_model.py",
        'weights["cls_token"] + first',
        'weights["cls_token"] + 0 * first',
        (f"{DISTIL}::test_weights_taken_over_compute_the_same_but_for_the_registers",),
    ),
    Mutant(
        "hue is not turned",
        "kit/workshop/training/crops.py",
        "_turn(turn * math.pi * (2 * angle - 1))",
        "_turn(0 * math.pi * (2 * angle - 1))",
        (f"{DISTIL}::test_colours_change_by_the_strength",),
    ),
    Mutant(
        "matrices step along their gradients as they are",
        "kit/workshop/training/muon.py",
        'update = orthogonal(torch.stack(torch._foreach_lerp(grads, kept, group["momentum"])))',
        'update = torch.stack(torch._foreach_lerp(grads, kept, group["momentum"]))',
        (f"{MUON}::test_steps_are_those_of_torch_up_to_the_rounding_of_bfloat16",),
    ),
    Mutant(
        "classes are compared across attributes",
        "kit/models/directions.py",
        "if not all(attributes):",
        "if any(attributes):",
        ("tests/unit/test_load_model.py::test_classes_of_an_attribute_are_compared_among_themselves",),
    ),
]
