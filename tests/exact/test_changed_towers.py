"""A tower that is changed after its first run: parts are those of the tower as it is now, or refused."""

import copy
import warnings
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_modules

import kit
from kit import KitError
from kit.models.stamp import Stamp
from kit.parts.check import TOLERANCE
from kit.parts.faults import _allowed
from kit.parts.frozen import frozen_graph
from tests.exact.families import EXACT, family
from tests.exact.towers import unit_directions
from tests.unit import tiny_models

DOUBLE = 1e-10
ROUTES = {  # how parts are read -> a small tower
    "plain": "clip",
    "read part by part": "swin_tiny_patch4_window7_224",
    "taken through the graph": "pvt_v2_b0",
}


def tower(route: str):
    """A small model in float64 with a run behind it, and pixels."""
    name = ROUTES[route]
    if name == "clip":
        model = kit.load("ViT-B-32", "random", config=tiny_models.config(text=False) | {"text_cfg": None})
        tiny_models.filled(model.library_model)
        model = model.double()
    else:
        model = family(name, EXACT[name])
    noise = torch.Generator().manual_seed(3)
    pixels = torch.randn(2, 3, *model.image_size, generator=noise).double()
    kit.scores(model, pixels, unit_directions(model))
    return model, pixels


@pytest.fixture(scope="module")
def first():
    """One model of each route that ran."""
    return {route: tower(route) for route in ROUTES}


def copied(model, pixels):
    """A copy that has run too, so that a test may change its own."""
    own = model.double()
    kit.scores(own, pixels, unit_directions(own))
    return own, pixels


@pytest.fixture
def changed(first):
    return copied(*first["plain"])


def assert_right(model, pixels):
    """Parts and scores are those of the library's own forward as it is now, and so says the check."""
    directions = unit_directions(model)
    truth = model.encode_image(pixels)
    cosine = nn.functional.normalize(truth, dim=-1) @ directions.T
    scores, parts = kit.scores(model, pixels, directions), kit.decompose(model, pixels)
    assert (scores.sum(1) - cosine).abs().max() <= DOUBLE
    assert parts.error.max() <= DOUBLE
    by_token = kit.scores(model, pixels, directions, by="token")
    assert (by_token.sum(2) - scores[:, heads(model)]).abs().max() <= DOUBLE
    assert kit.check(model).error <= DOUBLE
    return truth


def heads(model) -> list[int]:
    return [i for i, kind in enumerate(frozen_graph(model).index["kind"]) if kind == "head"]


def modules_of(model, kind) -> list[nn.Module]:
    return [m for m in model.tower.modules() if isinstance(m, kind)]


def _activation(model):
    for parent in model.tower.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.GELU):
                setattr(parent, name, nn.ReLU().eval())
                return


def _epsilon(model):
    for norm in modules_of(model, nn.LayerNorm):
        norm.eps = 0.3


def _forward_of_one(model):
    norm = modules_of(model, nn.LayerNorm)[0]
    forward = norm.forward
    norm.forward = lambda x: 2 * forward(x)


def _module(model):
    norm = modules_of(model, nn.LayerNorm)[-1]
    for parent in model.tower.modules():
        for name, child in parent.named_children():
            if child is norm:
                new = nn.LayerNorm(norm.normalized_shape).double().eval()
                setattr(parent, name, new.requires_grad_(False))


class LowRank(nn.Module):
    """A linear map with a small one beside it, as fine-tuning adapters put in."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        noise = torch.Generator().manual_seed(0)
        self.base = base
        self.down = nn.Parameter(torch.randn(2, base.in_features, generator=noise).double())
        self.up = nn.Parameter(torch.randn(base.out_features, 2, generator=noise).double())

    def forward(self, x):
        return self.base(x) + 0.3 * x @ self.down.T @ self.up.T


def _adapter(model):
    for parent in list(model.tower.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear) and name in ("fc2", "c_proj"):
                setattr(parent, name, LowRank(child).eval())
                return


def _step_of_an_optimiser(model):
    with torch.no_grad():
        for parameter in model.tower.parameters():
            parameter.mul_(1.1)


def _assigned(model):
    model.tower.load_state_dict({k: 1.1 * v for k, v in model.tower.state_dict().items()}, assign=True)


def _new_parameter(model):
    norm = modules_of(model, nn.LayerNorm)[-1]
    norm.weight = nn.Parameter(1.5 * norm.weight.detach())


def _data_replaced(model):
    for norm in modules_of(model, nn.LayerNorm):
        norm.weight.data = 1.3 * norm.weight.data


def _data_of_all(model):
    for parameter in model.tower.parameters():
        parameter.data.mul_(1.1)


def _data_of_one_projection(model):
    linear = [m for m in modules_of(model, nn.Linear) if m.bias is not None][-2]
    linear.weight.data.mul_(1.2)


def _data_of_one_bias(model):
    linear = [m for m in modules_of(model, nn.Linear) if m.bias is not None][-1]
    linear.bias.data.add_(torch.linspace(0, 0.2, len(linear.bias)))


def _data_of_a_norm(model):
    norm = modules_of(model, nn.LayerNorm)[-1]
    norm.bias.data.add_(torch.linspace(0, 0.3, len(norm.bias)))


CHANGES = {
    "an activation": _activation,
    "the epsilon of norms": _epsilon,
    "the forward of one module": _forward_of_one,
    "a module": _module,
    "an adapter put in": _adapter,
    "every weight, in place": _step_of_an_optimiser,
    "every weight, assigned": _assigned,
    "a new parameter": _new_parameter,
    ".data replaced": _data_replaced,
    ".data of every weight": _data_of_all,
    ".data of one projection": _data_of_one_projection,
    ".data of one bias": _data_of_one_bias,
    ".data of a norm": _data_of_a_norm,
}


SLOWLY = (".data of every weight", ".data of a norm", "a module")  # for the other routes


@pytest.mark.parametrize(
    "route, change", [(r, c) for r in ROUTES for c in CHANGES if r == "plain" or c in SLOWLY]
)
def test_what_is_changed_after_a_run_is_seen_by_the_next(first, route, change):
    model, pixels = copied(*first[route])
    before, digest = model.encode_image(pixels), model.weights_hash
    CHANGES[change](model)
    truth = assert_right(model, pixels)
    assert (truth - before).abs().max() > 1e-6, "the change changes nothing"
    if "weight" in change or "parameter" in change or "bias" in change or ".data" in change:
        assert model.weights_hash != digest


HOOKS = {
    "cuts": lambda module, inputs, out: out * 0,
    "scales": lambda module, inputs, out: out * 1.5,
    "adds a vector": lambda module, inputs, out: out + torch.linspace(0, 1, out.shape[-1]).double(),
    "in place": lambda module, inputs, out: out.mul_(1.5) and None,
}


@pytest.mark.parametrize("hook", [h for h in HOOKS if h != "in place"])
def test_a_hook_that_edits_is_part_of_the_tower_while_it_is_set(changed, hook):
    model, pixels = changed
    before = model.encode_image(pixels)
    handle = modules_of(model, nn.LayerNorm)[-2].register_forward_hook(HOOKS[hook])
    with pytest.warns(UserWarning, match="has forward hooks, so each run is compared"):
        truth = assert_right(model, pixels)
    assert (truth - before).abs().max() > 1e-6
    handle.remove()
    assert torch.equal(assert_right(model, pixels), before)


@pytest.mark.filterwarnings("ignore:.*has forward hooks")
class TestHooks:
    def test_every_kind_of_hook_is_seen(self, changed):
        model, pixels = changed
        norm, double = modules_of(model, nn.LayerNorm)[-1], lambda *args: None
        kinds = [
            norm.register_forward_pre_hook(lambda module, inputs: (inputs[0].flip(-1),)),
            norm.register_forward_pre_hook(
                lambda module, inputs, named: ((inputs[0].roll(1, -1),), named), with_kwargs=True
            ),
            norm.register_forward_hook(lambda module, inputs, named, out: out + 1, with_kwargs=True),
            model.tower.register_forward_hook(lambda module, inputs, out: 3 * out + 1),
            torch_modules.register_module_forward_hook(
                lambda module, inputs, out: out + 0.5 if isinstance(module, nn.LayerNorm) else None
            ),
            norm.register_forward_hook(double),
        ]
        seen = []
        try:
            for count in range(len(kinds), 0, -1):
                seen.append(assert_right(model, pixels))
                kinds[count - 1].remove()
        finally:
            for handle in kinds:
                handle.remove()
        seen.append(assert_right(model, pixels))
        apart = [float((a - b).abs().max()) for a, b in pairwise(seen)]
        assert apart[0] == 0 and min(apart[1:]) > 1e-6

    def test_a_hook_that_looks_sees_each_batch_once_and_numbers_only(self, changed):
        model, pixels = changed
        seen = []
        handle = modules_of(model, nn.LayerNorm)[-1].register_forward_hook(
            lambda module, inputs, out: seen.append(out)
        )
        directions = unit_directions(model)
        kit.scores(model, pixels, directions)
        assert len(seen) == 1 and type(seen[0]) is torch.Tensor and len(seen[0]) >= len(pixels)
        kit.scores(model, pixels, directions, by="token")
        assert len(seen) == 2 and torch.equal(seen[0], seen[1])
        handle.remove()

    def test_a_hook_that_looks_is_left_alone_beside_one_that_edits(self, changed):
        model, pixels = changed
        seen, norms = [], modules_of(model, nn.LayerNorm)
        handles = [
            norms[-1].register_forward_hook(lambda module, inputs, out: 2 * out),
            norms[-1].register_forward_hook(lambda module, inputs, out: seen.append(out) or out),
        ]
        assert_right(model, pixels)
        assert {type(value) for value in seen} == {torch.Tensor}
        for handle in handles:
            handle.remove()

    def test_a_variable_that_a_hook_closes_over_is_noticed(self, changed):
        model, pixels = changed
        factor = [1.0]
        handle = modules_of(model, nn.LayerNorm)[-1].register_forward_hook(
            lambda module, inputs, out: out * factor[0]
        )
        before = assert_right(model, pixels)
        factor[0] = 1.7
        assert (assert_right(model, pixels) - before).abs().max() > 1e-6
        handle.remove()

    def test_a_write_past_the_counter_is_seen_beside_a_hook(self, changed):
        model, pixels = changed
        handle = modules_of(model, nn.LayerNorm)[-1].register_forward_hook(
            lambda module, inputs, out: 2 * out
        )
        before = assert_right(model, pixels)
        model.tower.transformer.resblocks[0].attn.out_proj.weight.data.mul_(1.5)
        assert (assert_right(model, pixels) - before).abs().max() > 1e-6
        handle.remove()

    def test_a_hook_that_removes_itself_stays_removed(self, changed):
        model, pixels = changed
        norm = modules_of(model, nn.LayerNorm)[-1]
        calls, handles = [], []

        def once(module, inputs, out):
            calls.append(out)
            handles[0].remove()

        handles.append(norm.register_forward_hook(once))
        assert_right(model, pixels)
        assert len(calls) == 1 and not norm._forward_hooks

    @pytest.mark.parametrize("kind", ["another at every call", "past the counters"])
    def test_a_hook_that_no_record_holds_is_refused(self, changed, kind):
        model, pixels = changed
        calls = []

        def hook(module, inputs, out):
            if kind == "past the counters":
                out.data.mul_(2)
                return None
            calls.append(1)
            return out * (1 + len(calls))

        handle = modules_of(model, nn.LayerNorm)[-1].register_forward_hook(hook)
        with pytest.raises(KitError, match="its forward hooks do something that a record"):
            kit.scores(model, pixels, unit_directions(model))
        handle.remove()
        assert_right(model, pixels)

    def test_order_of_hooks_survives_a_recording(self, changed):
        model, pixels = changed
        norm = modules_of(model, nn.LayerNorm)[-1]
        handles = [norm.register_forward_hook(HOOKS[name]) for name in ("adds a vector", "scales")]
        looks = norm.register_forward_hook(lambda module, inputs, out: None)
        first = list(norm._forward_hooks.items())
        assert_right(model, pixels)
        assert list(norm._forward_hooks.items()) == first
        for handle in [*handles, looks]:
            handle.remove()

    def test_patterns_and_other_maps_follow_a_hook(self, changed):
        model, pixels = changed
        before = kit.parts.pattern(model, pixels, 1)
        handle = modules_of(model, nn.LayerNorm)[0].register_forward_pre_hook(
            lambda module, inputs: (inputs[0].flip(-1),)
        )
        assert (kit.parts.pattern(model, pixels, 1) - before).abs().max() > 1e-6
        handle.remove()
        assert torch.equal(kit.parts.pattern(model, pixels, 1), before)


def test_modes_types_and_devices_are_said_or_followed():
    model, pixels = tower("plain")
    model.tower.train()
    with pytest.raises(KitError, match="is in train mode"):
        kit.scores(model, pixels, unit_directions(model))
    model.tower.eval()
    model.tower.half()
    with pytest.raises(KitError, match=r"computes in torch\.float16, too coarse"):
        kit.check(model)
    model.tower.float()
    directions = unit_directions(model).float()
    assert kit.scores(model, pixels.float(), directions).dtype == torch.float32
    next(model.tower.transformer.children())[0].double()
    with pytest.raises(KitError, match=r'computes in torch.float32, but its "transformer.* is torch.float64'):
        kit.scores(model, pixels.float(), directions)
    model.tower.double()
    assert_right(model, pixels)


def test_what_is_made_under_inference_mode_goes_on_outside():
    with torch.inference_mode():
        model, pixels = tower("taken through the graph")
        kit.scores(model, pixels, unit_directions(model))
    assert_right(model, pixels)
    with torch.inference_mode():
        assert_right(model, pixels)
        model.tower.load_state_dict({k: v.clone() for k, v in model.tower.state_dict().items()}, assign=True)
    with pytest.raises(KitError, match=r"were made under torch\.inference_mode\(\)"):
        kit.scores(model, pixels, unit_directions(model))


def test_a_tower_that_took_the_place_of_another_has_a_record_of_its_own(changed):
    model, pixels = changed
    other = model.double()
    modules_of(other, nn.LayerNorm)[0].weight.data.mul_(1.5)
    before = model.encode_image(pixels)
    model.tower = other.tower
    assert (assert_right(model, pixels) - before).abs().max() > 1e-4


def test_the_check_asks_anew(changed):
    model, _ = changed
    true = kit.check(model)
    frozen_graph(model).check = replace(true, verdict="partial", error=1.0)
    assert kit.check(model) == true


def test_what_rounding_explains_is_asked_without_the_hooks(changed):
    model, pixels = changed
    model = replace(model, tower=copy.deepcopy(model.tower).float())
    seen = []
    modules_of(model, nn.LayerNorm)[0].register_forward_hook(lambda *_: seen.append("a look"))
    assert _allowed(model, pixels.float(), 1.0) >= TOLERANCE[torch.float32]
    assert not seen, "a hook of the user's was called by a measurement"


@pytest.mark.parametrize("route", ["read part by part", "taken through the graph"])
def test_directions_that_are_written_in_place_are_new_ones(first, route):
    model, pixels = first[route]
    run, directions = kit.run(model, pixels), unit_directions(model)
    before = run.maps(directions), run.scores(directions)
    directions.neg_()
    after = run.maps(directions), run.scores(directions)
    assert all((a + b).abs().max() <= DOUBLE < b.abs().max() for a, b in zip(after, before))


@pytest.mark.parametrize("part", range(7))
def test_a_part_that_is_off_by_little_is_missed_by_the_sum(first, part):
    """The sum along a few directions is enough to see it, whichever part it is."""
    model, pixels = first["plain"]
    run = kit.run(model, pixels)
    assert run.gap() <= 1e-14
    name = list(run._written)[part % len(run._written)]
    off = 1e-6 * run.norm.max()
    wrong = run.frozen.by_name[name].gain.norm() * run._written[name].norm()
    run._written[name] = run._written[name] * (1 + off / wrong)
    assert 1e-10 < run.gap() <= 1e-6


@pytest.mark.parametrize(
    "change", [_epsilon, lambda model: modules_of(model, nn.LayerNorm)[0].weight.mul_(2)]
)
def test_a_run_of_before_a_change_is_no_run_of_the_model(change):
    model, pixels = tower("plain")
    run = kit.run(model, pixels)
    kit.ablate(model, run, "L1.H0", replace="zero")
    with torch.no_grad():
        change(model)
    with pytest.raises(KitError, match="was changed after this run of it"):
        kit.ablate(model, run, "L1.H0", replace="zero")


def test_a_forward_that_is_random_is_no_defect_of_the_kit():
    model, pixels = tower("plain")
    norm = modules_of(model, nn.LayerNorm)[-1]
    forward = norm.forward
    norm.forward = lambda x: forward(x) + 0.1 * torch.rand_like(x)
    with pytest.raises(KitError, match="gives another representation of the same pictures at every call"):
        kit.scores(model, pixels, unit_directions(model))


def test_numbers_that_are_not_finite_are_said_of_the_picture():
    model, pixels = tower("plain")
    pixels[1] *= 1e300
    with pytest.raises(KitError, match=r"the representation of image 1 by .* itself is not finite"):
        kit.scores(model, pixels, unit_directions(model))


def test_texts_are_encoded_again_once_their_tower_is_another():
    model = kit.load("ViT-B-32", "random", config=tiny_models.config())
    seen = [model.encode_text(["a dog"])]
    changes = [
        lambda: model.library_model.ln_final.weight.data.mul_(-1),
        lambda: setattr(model.library_model.transformer.resblocks[0].mlp, "gelu", nn.ReLU().eval()),
        lambda: model.library_model.ln_final.register_forward_hook(lambda module, inputs, out: out.flip(-1)),
    ]
    for change in changes:
        change()
        seen.append(model.encode_text(["a dog"]))
    places = [1]
    model.library_model.ln_final.register_forward_hook(lambda module, inputs, out: out.roll(places[0], -1))
    for places[0] in (1, 3):  # what the hook closes over
        seen.append(model.encode_text(["a dog"]))
    assert all((a - b).abs().max() > 1e-4 for a, b in pairwise(seen))
    passes = model.passes["text"]
    model.library_model.ln_final._forward_hooks.clear()
    model.encode_text(["a dog"]), model.encode_text(["a dog"])
    assert model.passes["text"] == passes + 1, "the same text was encoded twice"


@pytest.mark.parametrize("route", ROUTES)
def test_a_record_is_kept_while_nothing_changes(first, route):
    model, pixels = first[route]
    kept = frozen_graph(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kit.check(model), kit.scores(model, pixels, unit_directions(model)), model.tower(pixels)
    assert frozen_graph(model) is kept


class Writes(nn.Module):
    """Keeps what it saw last, as some modules do."""

    def __init__(self):
        super().__init__()
        self.last, self.sizes, self.table = None, [], {"a": [1]}

    def forward(self, x):
        self.last = x
        self.sizes.append(len(x))
        return x


def test_a_stamp_holds_while_values_are_the_same_and_leaves_out_what_a_forward_writes():
    module = nn.Sequential(Writes(), nn.LayerNorm(4))
    stamp = Stamp(module)
    module[1].eps = 1e-3
    assert not stamp.holds()
    module[1].eps = 1e-5
    assert stamp.holds()
    module[0].table["a"].append(2)
    assert not stamp.holds()
    module[0].table["a"].pop()
    assert stamp.holds()
    module(torch.zeros(2, 4))
    assert not stamp.holds()
    stamp.settle()
    module(torch.zeros(3, 4))
    assert stamp.holds()
    module[1].extra = torch.zeros(3)
    assert not stamp.holds()


def test_a_stamp_that_does_not_hold_goes_on_not_to_hold():
    changes = [lambda m: m.double(), lambda m: m.train(), lambda m: setattr(m, "bias", None), _forward_twice]
    for change in changes:
        module = nn.Linear(2, 2).eval()
        stamp = Stamp(module)
        change(module)
        assert [stamp.holds() for _ in range(3)] == [False] * 3


def _forward_twice(module):
    module.forward = lambda x: 2 * x


def test_a_stamp_is_not_fooled_by_memory_that_is_used_again():
    module = nn.Linear(64, 64)
    for _ in range(20):
        stamp = Stamp(module)
        weights = stamp.weights
        module.weight.data = module.weight.data.half().float() + 1
        assert stamp.holds() and stamp.weights is not weights
