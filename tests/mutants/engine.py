"""Mutants of the engine: kit/parts, kit/edits and kit/models/trace.py."""

from tests.mutants import Mutant

RUNS, RULES, FROZEN = "kit/parts/runs.py", "kit/parts/readout_rules.py", "kit/parts/frozen.py"
HOOK_POINTS, MEANS, EDITS = "kit/parts/hook_points.py", "kit/parts/means.py", "kit/edits/ablation.py"
SELECTOR, READOUT, PAPER = "kit/parts/selector.py", "kit/parts/token_readout.py", "kit/parts/paper.py"
LOOP = ("tests/exact/test_loop.py::test_loops_equal_the_kit_and_the_library",)
PARTS, EDIT_TESTS = "tests/exact/test_parts.py", "tests/exact/test_edits.py"
TERMS = "tests/unit/test_selector.py"
NARROW, NARROW_TESTS = "kit/parts/read_token.py", "tests/exact/test_read_token.py"


def on(test: str, tower: str = "timm/vit_tiny_patch16_224") -> tuple[str, ...]:
    """One test of tests/exact/test_parts.py, on one tower."""
    return (f"{PARTS}::{test}[{tower}]",)


SIGLIP = "timm/vit_base_patch16_siglip_224"
MUTANTS: list[Mutant] = [
    Mutant(
        "a pooling head reads the features of its neighbour",
        RULES,
        "wide[range(heads), range(heads)] = ",
        "wide[range(heads), [*range(1, heads), 0]] = ",
        on("test_parts_sum_to_the_library_in_single_precision", SIGLIP),
    ),
    Mutant(
        "pooling heads go on by their neighbours' matrices",
        RUNS,
        "piece = piece @ source.tail",
        "piece = piece @ source.tail.roll(1, 0)",
        on("test_parts_sum_to_the_library_in_single_precision", SIGLIP),
    ),
    Mutant(
        "prompts read pooling heads in reverse order",
        FROZEN,
        "directions.T if self.tail is None else self.tail[:, None] @ directions.T",
        "directions.T if self.tail is None else self.tail.flip(0)[:, None] @ directions.T",
        on("test_scores_are_vectors_times_directions", SIGLIP),
    ),
    Mutant(
        "a map by source token counts the first slot alone",
        RUNS,
        "for p, along in enumerate(gain)))",
        "for p, along in enumerate(gain[:1])))",
        on("test_source_tokens_sum_to_their_head", SIGLIP),
    ),
    Mutant(
        "a narrowed tower computes a neighbour of the token that is read",
        NARROW,
        "return Rows(dim, index, index + 1) if",
        "return Rows(dim, index - 1, index) if",
        (f"{NARROW_TESTS}::test_a_narrowed_tower_says_the_same_of_any_token[5]",),
    ),
    Mutant(
        "a tower of which two tokens are read computes one",
        NARROW,
        "if len(asked) == 1 and None not in asked and",
        "if len(asked) >= 1 and None not in asked and",
        (f"{NARROW_TESTS}::test_a_tower_that_reads_more_tokens_is_left_alone",),
    ),
    Mutant(
        "masked attention is recorded without its mask",
        "kit/models/trace.py",
        "if value is not None}",
        'if name == "need_weights"}',
        (f"{NARROW_TESTS}::test_other_uses_of_the_attention_module_are_recorded_as_the_library_writes_them",),
    ),
    Mutant(
        "the sign of the parts is flipped",
        RUNS,
        "piece = written.permute(2, 1, 0, 3) @ gain.transpose(0, 1)",
        "piece = -(written.permute(2, 1, 0, 3) @ gain.transpose(0, 1))",
        LOOP,
    ),
    Mutant(
        "heads are handed out in reverse order",
        FROZEN,
        "gain = readout.matrix().unflatten(1, (heads, -1)).contiguous()",
        "gain = readout.matrix().unflatten(1, (heads, -1)).flip(1).contiguous()",
        LOOP,
    ),
    Mutant(
        "the layer of an MLP is off by one",
        FROZEN,
        'name, kind, at, free = f"L{layer}.MLP", "mlp", layer, False',
        'name, kind, at, free = f"L{layer + 1}.MLP", "mlp", layer + 1, False',
        LOOP,
    ),
    Mutant(
        "the norm's spread is the unbiased one",
        RUNS,
        "rows.var(-1, unbiased=False)",
        "rows.var(-1, unbiased=True)",
        LOOP,
    ),
    Mutant(
        "the norm's eps is one number for all models",
        RUNS,
        "eps = node.args[4] if len(node.args) > 4 else 1e-5",
        "eps = 1e-5",
        on("test_parts_sum_to_the_library_in_double_precision"),
    ),
    Mutant(
        "the norm does not centre",
        RULES,
        "gain = gain - gain.mean(dim=1, keepdim=True)",
        "gain = gain - 0 * gain.mean(dim=1, keepdim=True)",
        LOOP,
    ),
    Mutant("the norm's shift is dropped", RULES, "if beta is not None:", "if False:", LOOP),
    Mutant(
        "the output bias of attention is dropped",
        RULES,
        "if len(node.args) > 2 and node.args[2] is not None:",
        "if False:",
        LOOP,
    ),
    Mutant(
        "a constant is made by subtraction",
        RUNS,
        "values[:, place[part]] = self._constant(constant, directions)",
        "values[:, place[part]] = (self.representation if directions is None else 0) - values.sum(1)",
        on("test_constants_are_the_affine_map_at_zero"),
    ),
    Mutant(
        "values of tokens lose their mean (and so the value bias)",
        RUNS,
        "self.attentions[layer] = call.pattern(source.readout.rows), call.value",
        "self.attentions[layer] = call.pattern(source.readout.rows), call.value - call.value.mean(2, True)",
        on("test_source_tokens_sum_to_their_head"),
    ),
    Mutant(
        "the map shows the tokens in reverse",
        RUNS,
        "share[:, p, ..., None] * (value @ along)",
        "(share[:, p, ..., None] * (value @ along)).flip(2)",
        on("test_zeroing_the_value_of_a_token_changes_the_score_by_its_cell_of_the_map"),
    ),
    Mutant(
        "the pattern is normalised over queries",
        HOOK_POINTS,
        "return scores.softmax(-1)",
        "return scores.softmax(-2)",
        on("test_pattern_is_what_the_fused_kernel_used"),
    ),
    Mutant(
        "a frozen graph outlives a change of the weights",
        FROZEN,
        "if known is not record or weights is not record.stamp.weights:",
        "if known is None:",
        (f"{PARTS}::test_a_frozen_graph_is_made_anew_when_weights_change",),
    ),
    Mutant(
        "scores are not divided by the length",
        RUNS,
        "return values / self.norm[:, None, None] if normalize else values",
        "return values",
        on("test_scores_are_vectors_times_directions"),
    ),
    Mutant(
        "average pooling adds up",
        RULES,
        "return out.weight(frozen).expand(-1, -1, n) / n",
        "return out.weight(frozen).expand(-1, -1, n)",
        on("test_parts_sum_to_the_library_in_single_precision", "timm/vit_little_patch16_reg4_gap_256"),
    ),
    Mutant(
        "two ways to one value are taken for one",
        READOUT,
        "return torch.cat([p.expand(batch, -1, -1) for p in placed], dim=1)",
        "return torch.cat([placed[0].expand(batch, -1, -1)] * 2, dim=1)",
        on("test_parts_sum_to_the_library_in_single_precision", "timm/deit_tiny_distilled_patch16_224"),
    ),
    Mutant(
        "the check passes every sum",
        "kit/parts/faults.py",
        "if not error <= allowed:",
        "if False:",
        ("tests/exact/test_refusals.py::test_a_wrong_sum_is_a_fault",),
    ),
    Mutant(
        "the paper's convention drops the output biases",
        PAPER,
        "bias[own] += whole / own.sum()",
        "bias[own] += 0 * whole",
        on("test_papers_convention_has_the_same_sum_and_other_parts"),
    ),
    Mutant(
        "a selector's exclamation mark is ignored",
        SELECTOR,
        'chosen = chosen - found if term.startswith("!") else chosen | found',
        "chosen = chosen | found",
        (f"{TERMS}::test_everything_and_what_is_taken_from_it",),
    ),
    Mutant(
        "a range of layers ends one early",
        SELECTOR,
        "return list(range(start, stop + 1))",
        "return list(range(start, max(stop, start + 1)))",
        (f"{TERMS}::test_terms[L0-1.H0-L0.H0 L1.H0]",),
    ),
    Mutant(
        "a direct effect has the wrong sign",
        "kit/parts/means.py",
        "return whole - parts + means",
        "return whole + parts - means",
        (f"{EDIT_TESTS}::test_direct_effect_is_the_part_taken_out_of_the_sum",),
    ),
    Mutant(
        "a total effect replaces the class token alone",
        EDITS,
        "attention.apart(out).movedim(attention.head_axis, 0)[heads] = new[heads]",
        "attention.apart(out).movedim(attention.head_axis, 0)[heads, :, :1] = new[heads, :, :1]",
        (f"{EDIT_TESTS}::test_total_effect_of_zero_equals_a_tower_without_that_slice[0-1]",),
    ),
    Mutant(
        "a total effect hits the layer after",
        EDITS,
        "heads = self._heads.get(layer)",
        "heads = self._heads.get(layer - 1)",
        (f"{EDIT_TESTS}::test_total_effect_of_zero_equals_a_tower_without_that_slice[0-0]",),
    ),
    Mutant(
        "the change of a score is measured by the length after",
        EDITS,
        "length = self.before.norm(dim=-1, keepdim=True)",
        "length = self.embedding.norm(dim=-1, keepdim=True)",
        (f"{EDIT_TESTS}::test_direct_effect_of_means_is_their_score_less_the_parts",),
    ),
    Mutant(
        "means are taken over lengths that differ",
        MEANS,
        "parts = (run.vectors() / run.norm[:, None, None]).double().mean(0).cpu()",
        "parts = run.vectors().double().mean(0).cpu()",
        (f"{EDIT_TESTS}::test_means_are_those_of_the_parts",),
    ),
    Mutant(
        "means of total effects are taken over tokens",
        MEANS,
        "return source.readout.dims.index((BATCH,))",
        "return source.readout.dims.index((BATCH,)) + 1",
        (f"{EDIT_TESTS}::test_total_effect_of_means_puts_in_the_mean_output_of_every_token",),
    ),
    Mutant(
        "means of another model are taken",
        "kit/parts/files.py",
        "if collected.weights_hash != model.weights_hash:",
        "if False:",
        (f"{EDIT_TESTS}::test_means_come_back_from_a_file_and_know_their_model",),
    ),
]
