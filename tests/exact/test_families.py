"""The general route on families of vision transformers, in float64, against the library's own operations."""

import copy
from unittest import mock

import pytest
import torch

import kit
from kit.errors import KitError
from kit.models.records import rebuilt, written
from kit.parts.frozen import FrozenGraph
from kit.parts.hook_points import HookPoints, hooked
from kit.parts.linear import Steps
from kit.parts.place_reader import Unreadable
from kit.parts.reader_rules import Rules, reading
from kit.parts.replay import Leaves, Replay
from kit.parts.run_general import GeneralRun
from kit.parts.silent import reached
from tests.exact.families import EXACT, NO_PROJECTION, PARTIAL, PLAIN, REFUSED, SILENT, family, seen_at
from tests.exact.towers import pixels_for, same_graph, unit_directions

DOUBLE = 1e-10


class Pinned(Leaves):
    """Puts given values in the place of every source, with statistics, gates and patterns held.

    What then gives the representation is the library's own graph: the affine map that the parts are of.
    """

    def __init__(self, run, values):
        held = dict(run._leaves.held)
        steps = Steps(run.frozen.trace.constant, held, len(run.pixels))
        super().__init__(run.frozen, steps, tokens=False, edit=HookPoints())
        self.given = values

    def _leaf(self, name, out):
        return self.given[name]

    def norm(self, norm, value, out):
        node = list(self.frozen.norms)[norm]
        added = self.steps.added(node)
        return self.steps.step(node, node.args[0], value, 1) + (0 if added is None else added)

    def gate(self, gate, value):
        return self.held[self.frozen.gates[gate]]

    def pooling(self, pool, call, out):
        return self.held[self.frozen.pools[pool]] @ call.value


def affine(run, values):
    """The representation for given values of the sources, [batch, embed]."""
    with torch.no_grad():
        return hooked(run.frozen, "general")(run.pixels, Pinned(run, values))


@pytest.fixture(scope="module", params=[*EXACT, *PARTIAL])
def run(request):
    model = family(request.param, (EXACT | PARTIAL)[request.param])
    return kit.run(model, pixels_for(model))


general = pytest.mark.parametrize("run", [n for n in [*EXACT, *PARTIAL] if n not in PLAIN], indirect=True)


def close(found, expected, scale=None):
    scale = expected if scale is None else scale
    return (found - expected).abs().max() <= DOUBLE * scale.abs().max()


def test_verdict_and_sum(run):
    check = run.frozen.check
    assert check.error <= DOUBLE
    name = run.model.name.removeprefix("timm/")
    assert check.verdict == ("exact" if name in EXACT else "partial")
    assert list(check.silent) == SILENT.get(name, [])
    assert bool(check.hiding) == (name in PARTIAL)
    assert run.frozen.plain == (name in PLAIN)
    assert close(run.vectors().sum(1), run.model.encode_image(run.pixels))


def test_a_record_tells_the_whole_tower(run):
    """What is written of the recorded tower gives the same graph again, and the same parts to the bit."""
    model, module = run.model, run.frozen.trace.module
    record = written(module, model.tower, model.device)
    again = rebuilt(record, model.tower, model.device)
    assert same_graph(module, again)
    with mock.patch("kit.models.trace._export", return_value=again):
        twin = kit.run(copy.copy(model), run.pixels)
    assert twin.frozen.trace.module is again
    assert torch.equal(twin.vectors(), run.vectors()) and twin.index.equals(run.index)
    directions = unit_directions(model)
    assert torch.equal(twin.scores(directions), run.scores(directions))


def test_scores_are_vectors_times_directions(run):
    directions = unit_directions(run.model)
    assert close(run.scores(directions, normalize=False), run.vectors() @ directions.T)


def pushed(run):
    """The same run without readers: vectors pushed forward through the graph, scores by gradients."""
    frozen = copy.copy(run.frozen)
    with mock.patch.object(Rules, "before", side_effect=Unreadable), torch.no_grad():
        frozen.reading = reading(frozen)
    return GeneralRun(run.model, run.pixels, tokens=True, frozen=frozen)


@general
def test_readers_give_what_pushing_and_gradients_give(run):
    directions, other = unit_directions(run.model), pushed(run)
    assert not other._reading.parts
    assert close(run.vectors(), other.vectors())
    assert close(run.scores(directions), other.scores(directions))
    for by in ("source", "position"):
        assert close(run.maps(directions, by=by), other.maps(directions, by=by))


@pytest.mark.parametrize(
    "run", ["swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224", "maxvit_tiny_tf_224"], indirect=True
)
def test_windows_and_mergings_are_read_without_gradients(run):
    assert all(s.node in run.frozen.reading.parts for s in run.frozen.sources)
    assert not run._out.requires_grad


def test_a_layer_is_reached_where_it_can_be_other_than_zero(run):
    heads = run.index["kind"] == "head"
    loud = heads & (run.vectors() != 0).any(-1).any(0).numpy()
    assert run.frozen.reached == run.frozen.check.reached == run.index["layer"][loud].nunique()
    silent = run.index["layer"][heads & ~run.index["layer"].isin(run.index["layer"][loud]).fillna(False)]
    assert sorted(set(silent)) == run.frozen.silent


@general
def test_layers_are_silent_for_want_of_a_path_and_not_by_their_readers_alone(run):
    """What readers say of a source, and derivatives along random weights: two ways to the same."""
    found = reached(run.frozen)
    heads = [s for s in run.frozen.sources if s.kind == "head"]
    assert [s.layer for s in heads if not found[s.node]] == run.frozen.silent


def test_the_check_holds_the_maps_of_every_layer_against_its_heads(run):
    assert run.frozen.check.tokens <= DOUBLE and not run.frozen.check.wrong_splits
    assert run.refused("source") == run.refused("position") == {}


@general
def test_source_tokens_and_positions_sum_to_their_head(run):
    directions = unit_directions(run.model)
    heads = (run.index["kind"] == "head").to_numpy()
    scores = run.scores(directions)[:, heads]
    for by in ("source", "position"):
        assert close(run.maps(directions, by=by).sum(2), scores)


@general
def test_tripling_a_slice_of_the_output_projection_triples_that_head_alone(run):
    some = [s for s in run.frozen.sources if s.kind == "head" and s.attention.projection and s.heads > 1]
    name = run.model.name.removeprefix("timm/")
    assert bool(some) == (name not in NO_PROJECTION)
    if name in NO_PROJECTION:
        return
    before, leaves = run.vectors(), run._leaves
    node, features = run.frozen.by_name[some[0].name].attention.projection
    part = list(run.index["name"]).index(f"{some[0].name}.H1")
    weight = run.frozen.trace.module.get_parameter(node.args[1].target).data  # no new version of it
    kept = weight.clone()
    with torch.no_grad():
        weight[:, features[1]] *= 3
        try:
            after = Replay(run.frozen, leaves.steps, leaves.values).vectors()
            library = affine(run, leaves.values)
        finally:
            weight.copy_(kept)
    expected = before.clone()
    expected[:, part] *= 3
    assert close(after, expected)
    assert close(library - run.representation, 2 * before[:, part], before)


@general
def test_zeroing_the_value_of_a_token_changes_the_score_by_its_cell_of_the_map(run):
    """The loudest head 0 that reads patches: what one cell brings to it is taken out of its output."""
    layouts = run._layouts["source"]
    some = [s for s in run.frozen.sources if s.name in layouts and len(layouts[s.name].rows)]
    directions = unit_directions(run.model)
    assert some
    source = max(some, key=lambda s: run.maps(directions, f"{s.name}.H0").abs().max())
    attention, call, own = source.attention, run._leaves.calls[source.layer], layouts[source.name]
    cell = int(own.cells[own.cells >= 0][0])
    pattern, value = (
        attention.apart(t).select(attention.head_axis, 0) for t in (call.pattern(), call.value)
    )  # [batch * window, ..., query, token], [batch * window, ..., token, head_dim]
    lost = (own.cells == cell).repeat(len(run.pixels)).reshape(value.shape[:-1])
    values = {name: leaf.detach().clone() for name, leaf in run._leaves.values.items()}
    whole = affine(run, values)
    gone = pattern @ (value * lost[..., None])
    attention.apart(values[source.name]).select(attention.head_axis, 0).sub_(gone)
    change = (whole - affine(run, values)) @ directions.T / run.norm[:, None]
    to, _ = own.spread(run.grid)
    cells = run.maps(directions, f"{source.name}.H0")[:, 0, run.prefix :]
    if not run.frozen.reached:
        assert change.abs().max() == 0 and cells.abs().max() == 0
        return
    assert change.abs().max() > 1e-9
    assert close(cells[:, to == cell].sum(1), change)


@general
def test_constants_are_the_affine_map_at_zero(run):
    zero = {name: torch.zeros_like(value) for name, value in run._leaves.values.items()}
    assert close(run.vectors("bias").sum(1), affine(run, zero), run.representation)


def test_branches_record_no_gradients():
    """Gradients follow the frozen graph alone; a branch that recorded them would cost time and memory."""

    class Watched(Leaves):
        def _leaf(self, name, out):
            assert not out.requires_grad, name
            return super()._leaf(name, out)

    name = "swin_tiny_patch4_window7_224"
    run = kit.run(family(name, EXACT[name]), torch.zeros(1, 3, 112, 112, dtype=torch.float64))
    steps = Steps(run.frozen.trace.constant, {}, 1)
    out = hooked(run.frozen, "general")(
        run.pixels, Watched(run.frozen, steps, tokens=False, edit=HookPoints())
    )
    assert out.requires_grad


def test_the_special_path_equals_the_general_route():
    for name in ("beit_base_patch16_224", "vit_relpos_small_patch16_224"):
        model = family(name, EXACT[name])
        plain = kit.run(model, pixels_for(model))
        assert plain.frozen.plain
        model._frozen = (*model._frozen[:2], FrozenGraph(name, plain.frozen.trace, plain=False))
        del plain.frozen.trace.hooked
        general = GeneralRun(model, plain.pixels, tokens=True)
        assert list(general.index["name"]) == list(plain.index["name"])
        directions = unit_directions(model)
        assert close(general.vectors(), plain.vectors())
        assert close(general.scores(directions), plain.scores(directions))


@pytest.mark.parametrize("name", REFUSED)
def test_an_activation_right_before_pooling_is_refused(name):
    model = kit.load(f"timm/{name}", pretrained="random", config=REFUSED[name] | seen_at(64))
    with pytest.raises(KitError, match=r"is refused: its representation comes straight out of .* in module"):
        kit.run(model, pixels_for(model, batch=1))


def test_an_encoder_without_a_representation_is_refused():
    model = kit.load("timm/qwen3_vit_88m_enc", pretrained="random", config={"depth": 1, "embed_dim": 96})
    with pytest.raises(KitError, match="is refused: it gives tokens and no one representation of a picture"):
        kit.check(model)
