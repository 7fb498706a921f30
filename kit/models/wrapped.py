"""A module out of what was put around it: parallel training, compilers, adapters, averages."""

from torch import nn

from kit.errors import KitError

_CHECKPOINT = "torch.distributed.algorithms._checkpoint.checkpoint_wrapper"
# where each wrapper keeps the module; by name, since the packages need not be there
_INNER = {
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.optim.swa_utils.AveragedModel": "module",
    f"{_CHECKPOINT}.CheckpointWrapper": "_checkpoint_wrapped_module",
    "deepspeed.runtime.engine.DeepSpeedEngine": "module",
    "lightning.fabric.wrappers._FabricModule": "_forward_module",
    "lightning_fabric.wrappers._FabricModule": "_forward_module",
    "nnsight.intervention.envoy.Envoy": "_module",
    "nnsight.envoy.Envoy": "_module",
    "timm.utils.model_ema.ModelEma": "ema",
    "timm.utils.model_ema.ModelEmaV2": "module",
    "timm.utils.model_ema.ModelEmaV3": "module",
}
_ADAPTED = "peft.peft_model.PeftModel"
# what cannot be undone, and what to give instead
_CLOSED = {
    "torch.fx.graph_module.GraphModule": "a graph that torch.fx or torch.export traced; give the module "
    "that was traced",
    "torch.jit._script.ScriptModule": "a program of TorchScript; give the module that was scripted or "
    "traced, with the program's state_dict() loaded into it",
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": "cut over several "
    "processes (FSDP); gather its whole state_dict(), and load that into a module that is not wrapped",
}  # fmt: skip

_KNOWN = {_ADAPTED, *_INNER, *_CLOSED}


def unwrapped(module: nn.Module) -> tuple[nn.Module, str]:
    """The module inside of wrappers that pass its output on, and the note on what was taken off.

    Known are DataParallel, DistributedDataParallel, torch.compile, AveragedModel, the averages of timm,
    checkpointing, DeepSpeed, Lightning Fabric, nnsight, and PEFT: its adapters stay in the layers, where
    they are part of the model. One wrapper in another is no matter; nothing is changed in any of them.

    Args:
        module: what the caller has.

    Returns:
        The inner module, the very object, and a sentence, "" where there was no wrapper.

    Raises:
        KitError: a graph of torch.fx or torch.export, a program of TorchScript, a sharded module, prompts
            of PEFT that are tokens of their own. The wrapper is named.

    Example:
        >>> inner, note = unwrapped(nn.DataParallel(nn.Linear(2, 3)))
        >>> inner, note
        (Linear(in_features=2, out_features=3, bias=True), 'The module was taken out of DataParallel.')
    """
    passed = []
    while kind := next((kind for kind in _kinds(module) if kind in _KNOWN), None):
        name = kind.rpartition(".")[2]
        if kind in _CLOSED:
            raise KitError(f"the module, of the type {name}, is {_CLOSED[kind]}.")
        module = _adapted(module) if kind == _ADAPTED else getattr(module, _INNER[kind])
        passed.append(name)
    if passed:
        _expect_whole(module, passed)
    return module, f"The module was taken out of {' and '.join(passed)}." if passed else ""


def _kinds(module: nn.Module) -> list[str]:
    """Its class and those that it comes from, by their full names."""
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__]


def _adapted(module: nn.Module) -> nn.Module:
    """The model that PEFT's adapters were put into."""
    base = module.base_model
    if not hasattr(base, "peft_config"):  # a model as it was: prompts come before its tokens from outside
        raise KitError(
            f"the module, of the type {type(module).__name__}, puts tokens of its own before those of the "
            "model (prompts of PEFT), which are lost where the model is taken out; give a model whose "
            "adapters lie in its layers, such as LoRA."
        )
    return base.model


def _expect_whole(module: nn.Module, passed: list[str]) -> None:
    empty = [name for name, value in module.named_parameters() if not value.numel()]
    if empty:
        raise KitError(
            f'the module was taken out of {" and ".join(passed)}, but "{empty[0]}" holds no values: its '
            "weights lie in other processes; gather them first, and give the whole module."
        )
