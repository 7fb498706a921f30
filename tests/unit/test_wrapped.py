"""Modules inside of wrappers: the very module comes out, or the sentence names the wrapper."""

import copy
import sys
import types

import pytest
import torch
from torch import nn

from kit.errors import KitError
from kit.models.wrapped import unwrapped


def tower() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2)).eval()


def of_package(path: str, base: type = nn.Module, **attributes) -> object:
    """An object of a class that lies in a package which is not installed here."""
    module, _, name = path.rpartition(".")
    made = type(name, (base,), {"__module__": module})()
    for key, value in attributes.items():
        setattr(made, key, value)
    return made


def adapted(model: nn.Module) -> nn.Module:
    """As PEFT keeps it: the model in a tuner, the tuner in the outermost module, LoRA in a layer."""

    class Lora(nn.Module):
        def __init__(self, base_layer):
            super().__init__()
            self.base_layer = base_layer
            self.lora_A, self.lora_B = nn.Linear(4, 1, bias=False), nn.Linear(1, 4, bias=False)

        def forward(self, x):
            return self.base_layer(x) + self.lora_B(self.lora_A(x))

    model[0] = Lora(model[0])
    tuner = of_package("peft.tuners.lora.model.LoraModel", model=model, peft_config={"default": None})
    return of_package("peft.peft_model.PeftModel", base_model=tuner)


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "OptimizedModule": lambda m: torch.compile(m, backend="eager"),
    "PeftModel": adapted,
    "DeepSpeedEngine": lambda m: of_package("deepspeed.runtime.engine.DeepSpeedEngine", module=m),
    "_FabricModule": lambda m: of_package("lightning.fabric.wrappers._FabricModule", _forward_module=m),
    "Envoy": lambda m: of_package("nnsight.intervention.envoy.Envoy", object, _module=m),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_very_module_comes_out_and_the_note_names_the_wrapper(name):
    inside = tower()
    wrapper = WRAPPERS[name](inside)
    taken, note = unwrapped(wrapper)
    assert taken is inside and note == f"The module was taken out of {name}."


def test_a_class_of_ones_own_that_comes_from_a_wrapper_is_one():
    class Mine(nn.DataParallel):
        pass

    inside = tower()
    assert unwrapped(Mine(inside)) == (inside, "The module was taken out of DataParallel.")


def test_one_wrapper_in_another():
    inside = tower()
    taken, note = unwrapped(torch.compile(nn.DataParallel(inside), backend="eager"))
    assert taken is inside and note == "The module was taken out of OptimizedModule and DataParallel."


def test_averages_come_out_with_the_averaged_weights():
    inside = tower()
    average = torch.optim.swa_utils.AveragedModel(inside)
    nn.init.zeros_(inside[0].weight)
    taken, note = unwrapped(average)
    assert taken is average.module and taken[0].weight.any() and "AveragedModel" in note


def test_adapters_stay_in_the_layers():
    pixels, inside = torch.randn(3, 4), tower()
    plain = copy.deepcopy(inside)
    taken, _ = unwrapped(adapted(inside))
    assert not torch.allclose(taken(pixels), plain(pixels))


def test_a_module_without_a_wrapper_is_itself():
    for inside in (tower(), nn.ModuleDict({"module": tower()})):  # an attribute of that name is no wrapper
        assert unwrapped(inside) == (inside, "")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (torch.fx.symbolic_trace, "of the type GraphModule, is a graph that .* give the module that was tr"),
        (torch.jit.script, "of the type ScriptModule, is a program of TorchScript"),
        (lambda m: torch.jit.trace(m, torch.zeros(1, 4)), "ScriptModule, is a program"),
        (lambda m: nn.DataParallel(torch.fx.symbolic_trace(m)), "GraphModule, is a graph"),
        (lambda m: torch.export.export(m, (torch.zeros(1, 4),)).module(), "GraphModule, is a graph that"),
        (
            lambda m: of_package(
                "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel"
            ),
            "FullyShardedDataParallel, is cut over several processes",
        ),
        (
            lambda m: of_package("peft.peft_model.PeftModel", base_model=m),
            "PeftModel, puts tokens of its own before those of the model",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_undone_is_named(make, sentence):
    with pytest.raises(KitError, match=sentence):
        unwrapped(make(tower()))


def test_weights_that_lie_in_other_processes_are_named():
    inside = tower()
    inside[0].weight = nn.Parameter(torch.zeros(0))
    with pytest.raises(KitError, match=r'out of DeepSpeedEngine, but "0\.weight" holds no values'):
        unwrapped(WRAPPERS["DeepSpeedEngine"](inside))


def test_the_names_of_wrappers_are_those_of_the_installed_packages():
    """A package that renames a class turns this red, where it is installed."""
    from kit.models import wrapped

    for path in [*wrapped._INNER, *wrapped._CLOSED]:
        module, _, name = path.rpartition(".")
        if module.split(".")[0] in ("torch", "timm"):
            __import__(module)
            found = getattr(sys.modules[module], name)
            assert isinstance(sys.modules[module], types.ModuleType)
            assert f"{found.__module__}.{found.__qualname__}" == path
