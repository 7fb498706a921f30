"""Mutants of the general route: kit/parts/linear.py, general.py, general_run.py, places.py, attention.py."""

from tests.mutants import Mutant

LINEAR, GENERAL, PLACES = "kit/parts/linear.py", "kit/parts/replay.py", "kit/parts/token_places.py"
RUN, ATTENTION = "kit/parts/run_general.py", "kit/models/attention.py"
FAMILIES, PLANTED = "tests/exact/test_families.py", "tests/exact/test_planted_cell.py"


def on(test: str, family: str) -> tuple[str, ...]:
    """One test of tests/exact/test_families.py, on one family."""
    return (f"{FAMILIES}::{test}[{family}]",)


SWIN = (f"{PLANTED}::test_the_map_is_the_planted_cell[swin_tiny_patch4_window7_224-place0]",)
INTERLEAVED = "tests/exact/test_refusals.py::test_heads_that_lie_interleaved_are_each_their_own[True]"
SUM, MAPS = "test_verdict_and_sum", "test_source_tokens_and_positions_sum_to_their_head"
SAME = "test_readers_give_what_pushing_and_gradients_give"
READING, READERS = "kit/parts/reader_rules.py", "kit/parts/place_reader.py"

MUTANTS: list[Mutant] = [
    Mutant(
        "a square passes as a product with a constant",
        LINEAR,
        "if node.args[0] is node.args[1]:",
        "if False and node.args[0] is node.args[1]:",
        ("tests/exact/test_refusals.py::test_a_square_is_not_taken_for_a_product_with_a_constant",),
    ),
    Mutant(
        "a batch norm forgets its running mean",
        LINEAR,
        "(0.0 if bias is None else bias) - mean * gain",
        "(0.0 if bias is None else bias)",
        on(SUM, "visformer_tiny"),
    ),
    Mutant(
        "a norm on the general route does not centre",
        LINEAR,
        "value = value - value.mean(dim=list(range(-len(node.args[1]), 0)), keepdim=True)",
        "value = value * 1",
        on(SAME, "swin_tiny_patch4_window7_224"),
    ),
    Mutant(
        "a norm's eps on the general route is one number for all models",
        "kit/parts/linear.py",
        "return (value.var(dims, unbiased=False, keepdim=True) + eps).rsqrt()",
        "return (value.var(dims, unbiased=False, keepdim=True) + 1e-3).rsqrt()",
        on(SUM, "swin_tiny_patch4_window7_224"),
    ),
    Mutant(
        "the second operand of a difference is added",
        GENERAL,
        "(-1.0 if node.target is aten.sub.Tensor else 1.0)",
        "(1.0 if node.target is aten.sub.Tensor else 1.0)",
        ("tests/exact/test_refusals.py::test_a_difference_on_the_stream_keeps_its_sign",),
    ),
    Mutant(
        "gradients do not stop where the frozen graph is left",
        "kit/parts/hook_points.py",
        'if user.op == "output" or node in frozen.inputs.get(user, ()):',
        'if True or user.op == "output" or node in frozen.inputs.get(user, ()):',
        (f"{FAMILIES}::test_branches_record_no_gradients",),
    ),
    Mutant(
        "a coarse token counts whole in each of its cells",
        RUN,
        "out[:, :, self.prefix :] = sums[:, :, to] * share.to(tokens)[:, None]",
        "out[:, :, self.prefix :] = sums[:, :, to]",
        on(MAPS, "swin_tiny_patch4_window7_224"),
    ),
    Mutant(
        "rolled windows are drawn where they were rolled to",
        PLACES,
        "    if target in PLAIN:\n",
        "    if target in PLAIN and target is not aten.roll.default:\n",
        SWIN,
    ),
    Mutant(
        "rows and columns of the picture are exchanged",
        PLACES,
        "return rows.expand(shape), cols.expand(shape)\n\n\ndef _placed",
        "return cols.expand(shape), rows.expand(shape)\n\n\ndef _placed",
        SWIN,
    ),
    Mutant(
        "heads that lie side by side are taken in reverse",
        ATTENTION,
        "(of_heads == head).nonzero()[:, 0] for head in range(heads)",
        "(of_heads == head).nonzero()[:, 0] for head in reversed(range(heads))",
        on(SAME, "swin_tiny_patch4_window7_224"),
    ),
    Mutant(
        "an average is read as a sum",
        READING,
        "1 if target is aten.sum.dim_IntList else 1 / table.shape[-1]",
        "1",
        on(SUM, "swin_tiny_patch4_window7_224"),
    ),
    Mutant(
        "a norm is read without centring",
        READING,
        "gain = gain - gain.mean(1, keepdim=True)",
        "gain = gain * 1",
        on(SUM, "swin_tiny_patch4_window7_224"),
    ),
    Mutant(
        "a norm is read without its spread",
        READING,
        "rows.weight.times(node, spread, rows.positions)",
        "rows.weight",
        on(SUM, "swin_tiny_patch4_window7_224"),
    ),
    Mutant(
        "the padding of a convolution is read as its first pixel",
        READERS,
        "w.repeat_interleave(table.shape[1], 1) * there.to(w)",
        "w.repeat_interleave(table.shape[1], 1)",
        on(SUM, "pvt_v2_b0"),
    ),
    Mutant(
        "a difference is read as a sum",
        READING,
        "(-1.0 if node.target is aten.sub.Tensor else 1.0)",
        "(1.0 if node.target is aten.sub.Tensor else 1.0)",
        ("tests/exact/test_refusals.py::test_a_difference_on_the_stream_keeps_its_sign",),
    ),
    Mutant(
        "heads are read in reverse",
        READING,
        "order = torch.argsort(heads[0, 0], stable=True)",
        "order = torch.argsort(heads[0, 0], stable=True, descending=True)",
        (INTERLEAVED, *on(SAME, "nest_tiny")),
    ),
    Mutant(
        "heads that lie interleaved are taken as they lie",
        READING,
        "if (heads[0, 0].diff() < 0).any():",
        "if False:",
        (INTERLEAVED,),
    ),
    Mutant(
        "constants that are read are pushed as well",
        GENERAL,
        "if added is not None and not known:",
        "if added is not None:",
        on(SUM, "pvt_v2_b0"),
    ),
    Mutant(
        "attention that lies inside other parts is not named",
        "kit/parts/frozen.py",
        "hidden = self._layers.keys() - {s.node for s in (self.read if silent else self.sources)}",
        "hidden = set()",
        on(SUM, "levit_128s"),
    ),
]
