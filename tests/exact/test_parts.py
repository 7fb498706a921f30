"""Parts against the untouched library module, on towers of every kind that the engine covers.

Tolerances (design §3): float64 1e-10. Float32 1e-5, where a tower's own float32 differs from its
float64 by about 1e-6 and the parts add as much again.
"""

import pytest
import torch

import kit
from kit.parts.frozen import frozen_graph
from kit.parts.hook_points import hooked
from kit.parts.runs import Run
from tests.exact.towers import CLASS_TOKEN, TOWERS, Pinned, perturbed, pixels_for, unit_directions

SINGLE, DOUBLE = 1e-5, 1e-10


@pytest.fixture(scope="module", params=TOWERS)
def model(request):
    return perturbed(request.param)


def distance(value, truth):
    return float((value - truth).norm() / truth.norm())


def test_parts_sum_to_the_library_in_single_precision(model):
    pixels = pixels_for(model)
    parts = kit.decompose(model, pixels)
    assert parts.error.max() <= SINGLE
    assert distance(parts.values.sum(1), model.encode_image(pixels)) <= SINGLE
    assert kit.check(model).verdict == "exact"


# From here on in float64: the fixture's model is turned once and stays so for its later tests.
@pytest.fixture(scope="module")
def double(model):
    model.tower.double()
    return model


@pytest.fixture(scope="module")
def pinned(double):
    run = kit.run(double, pixels_for(double, batch=1))
    hook_points = Pinned(run)
    same = hooked(run.frozen)(run.pixels, hook_points)
    assert distance(same, double.encode_image(run.pixels)) <= DOUBLE
    return run, hook_points


def test_parts_sum_to_the_library_in_double_precision(double):
    assert kit.decompose(double, pixels_for(double, batch=1)).error.max() <= DOUBLE


def test_scores_are_vectors_times_directions(pinned):
    run, _ = pinned
    directions = unit_directions(run.model)
    expected = run.vectors() @ directions.T / run.norm[:, None, None]
    assert torch.allclose(run.scores(directions), expected, rtol=0, atol=DOUBLE)
    cosine = torch.nn.functional.cosine_similarity(
        run.representation[:, None], directions[None], dim=-1
    )  # [batch, text]
    assert torch.allclose(run.scores(directions).sum(1), cosine, rtol=0, atol=DOUBLE)


def test_source_tokens_sum_to_their_head(pinned):
    run, _ = pinned
    directions = unit_directions(run.model)
    heads = (run.index["kind"] == "head").to_numpy()
    assert torch.allclose(run.maps(directions).sum(2), run.scores(directions)[:, heads], atol=DOUBLE)
    some = "L1.H0, L1.H2, L3.H1"
    assert torch.allclose(run.token_vectors(some).sum(2), run.vectors(some), atol=DOUBLE)


def test_layers_sum_to_the_same_total(double):
    pixels = pixels_for(double, batch=1)
    by_head, by_layer = kit.decompose(double, pixels), kit.decompose(double, pixels, by="layer")
    heads = by_head.select("L2.H*").values.sum(1)
    assert torch.allclose(by_layer["L2.attn"], heads, atol=DOUBLE)
    assert distance(by_layer.values.sum(1), by_head.total) <= DOUBLE


def test_tripling_a_slice_of_the_output_projection_triples_that_head_alone(pinned):
    run, hook_points = pinned
    layer, head = run.frozen.trace.layers - 2, 1
    weight = _output_projection(run.model.tower, layer)
    width = weight.shape[1] // run.frozen.trace.heads[layer]
    before, part = run.vectors(), run.vectors(f"L{layer}.H{head}")[:, 0]
    columns = weight[:, head * width : (head + 1) * width]
    with torch.no_grad():
        columns.mul_(3)
    try:
        library = hooked(run.frozen)(run.pixels, hook_points)
        changed = Run(run.model, run.pixels, watch=hook_points)
        statistics = run.frozen_values  # of the same trace: the nodes are the same
        changed.freeze(statistics)
        after = changed.vectors()
    finally:
        with torch.no_grad():
            columns.div_(3)
    expected = before.clone()
    expected[:, list(run.index["name"]).index(f"L{layer}.H{head}")] *= 3
    assert changed.frozen is not run.frozen, "the fold of the old weights was used again"
    assert torch.allclose(after, expected, atol=DOUBLE * float(before.abs().max()))
    assert torch.allclose(library - run.representation, 2 * part, atol=1e-9)


def test_zeroing_the_value_of_a_token_changes_the_score_by_its_cell_of_the_map(pinned):
    run, hook_points = pinned
    directions = unit_directions(run.model)
    layer, head, token = run.frozen.trace.layers - 2, 1, 3
    call, kept = hook_points.calls[layer], hook_points.heads[layer]
    edited = kept.clone()
    edited[:, head] -= call.pattern()[:, head, :, token, None] * call.value[:, head, token, None]
    hook_points.heads[layer] = edited
    after = hooked(run.frozen)(run.pixels, hook_points) @ directions.T / run.norm[:, None]
    hook_points.heads[layer] = kept
    before = run.representation @ directions.T / run.norm[:, None]
    cell = run.maps(directions, f"L{layer}.H{head}")[:, 0, token]
    assert cell.abs().max() > 1e-6
    assert torch.allclose(before - after, cell, atol=1e-12)


def test_constants_are_the_affine_map_at_zero(pinned):
    run, hook_points = pinned
    zero = Pinned(run)
    zero.statistics, zero.patterns = hook_points.statistics, hook_points.patterns
    zero.heads = {k: torch.zeros_like(v) for k, v in hook_points.heads.items()}
    zero.values = {k: torch.zeros_like(v) for k, v in hook_points.values.items()}
    at_zero = hooked(run.frozen)(run.pixels, zero)
    assert distance(run.vectors("bias").sum(1), at_zero) <= DOUBLE


def test_pattern_is_what_the_fused_kernel_used(pinned):
    run, hook_points = pinned
    pattern = kit.pattern(run.model, run.pixels, 1)
    out = pattern @ hook_points.calls[1].value
    assert torch.allclose(out, hook_points.heads[1], atol=DOUBLE)
    assert torch.allclose(pattern.sum(-1), torch.ones_like(pattern[..., 0]), atol=DOUBLE)


def test_papers_convention_has_the_same_sum_and_other_parts(double):
    pixels = pixels_for(double, batch=1)
    if double.name not in CLASS_TOKEN and double.name != "timm/vit_tiny_patch16_224":
        with pytest.raises(kit.KitError, match="for towers that pool the class token"):
            kit.decompose(double, pixels, convention="paper")
        return
    ours, paper = kit.decompose(double, pixels), kit.decompose(double, pixels, convention="paper")
    assert distance(paper.values.sum(1), ours.total) <= DOUBLE
    assert distance(paper["L1.H1"], ours["L1.H1"]) > 1e-3


def _output_projection(tower, layer):
    """The weight behind the heads, found in the library's own module tree."""
    names = [n for n, _ in tower.named_parameters() if n.endswith(("out_proj.weight", "attn.proj.weight"))]
    blocks = [n for n in names if "pool" not in n]
    return tower.get_parameter(blocks[layer])


def test_a_frozen_graph_is_made_anew_when_weights_change():
    model = perturbed("timm/vit_tiny_patch16_224")
    first = frozen_graph(model)
    assert frozen_graph(model) is first
    with torch.no_grad():
        next(model.tower.parameters()).mul_(1.5)
    assert frozen_graph(model) is not first
