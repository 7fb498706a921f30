"""The image tower as a flat graph of operations, recorded once and never changed.

`torch.export` records the unmodified library module with a free batch size. Attention and layer
norm stay single operations, so that running the graph is as fast as running the module, and the
graph reads the module's own parameters: nothing is copied.
"""

import operator
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_unflatten

from kit.errors import KitError, Refused
from kit.models.attention import Attention, attentions
from kit.models.hooks import Hooks, Key, only
from kit.models.kept import Kept, said_if_slow
from kit.models.nodes import EXAMPLE_BATCH, aten, image_dependent, known, path_in, shape_of
from kit.models.output import expect_representation
from kit.models.stamp import Stamp

if TYPE_CHECKING:
    from kit.models.model import Model


class Trace:
    """The recorded tower: graph, attention calls, and what depends on the image.

    Attributes:
        module: a `torch.fx.GraphModule`, pixels [batch, 3, height, width] -> [batch, embed].
        attentions: every attention call, in forward order.
        image: the nodes whose value depends on the pixels.
    """

    def __init__(self, module: fx.GraphModule):
        self.module = module
        self.image = image_dependent(module.graph)
        self.attentions = attentions(module.graph, self.image)

    @property
    def layer_calls(self) -> list[Attention]:
        """The attention calls that are layers: those whose query depends on the image."""
        return [a for a in self.attentions if not a.pooling]

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.layer_calls)

    @property
    def heads(self) -> tuple[int, ...]:
        """Number of heads of each layer."""
        return tuple(a.heads for a in self.layer_calls)

    def constant(self, node: object) -> object:
        """Value of a node (or plain argument) that does not depend on the image; batch size 1."""
        if not isinstance(node, fx.Node):
            return [self.constant(a) for a in node] if isinstance(node, list | tuple) else node
        if node.op == "get_attr":
            return operator.attrgetter(node.target)(self.module).detach()
        if node.target in (aten.sym_size.int, operator.mul):
            return 1
        if node.target is aten.type_as.default:
            return self.constant(node.args[0]).to(node.meta["val"].dtype)
        args = [self.constant(a) for a in node.args]
        return node.target(*args, **{k: self.constant(v) for k, v in node.kwargs.items()})


@dataclass(frozen=True)
class Record:
    """A trace, and what it is a record of.

    Attributes:
        trace: the recorded tower.
        tower: the module that was recorded.
        stamp: what its modules were.
        editing: the forward hooks that are part of the record; the others only look.
    """

    trace: Trace
    tower: nn.Module
    stamp: Stamp
    editing: frozenset[Key]


def trace_of(model: "Model") -> Trace:
    """The trace of a model's image tower, recorded at the first call (0.6 to 3 s) and kept while it is true.

    Raises:
        KitError: the tower is in train mode or of half precision, or `torch.export` cannot record it.
    """
    return record_of(model).trace


def kept_record(model: "Model") -> Record | None:
    """The record of a model's image tower that is kept, if it is still true."""
    kept: Record | None = getattr(model, "_record", None)
    return kept if kept is not None and kept.tower is model.tower and kept.stamp.holds() else None


def record_of(model: "Model", editing: frozenset[Key] | None = None, kept: Record | None = None) -> Record:
    """The record of a model's image tower; made anew once modules, hooks or attributes are others.

    Args:
        model: from `kit.load`.
        editing: the hooks that edit, as the library's own forward has just shown. None takes those that
            are known, and of a tower that is not yet recorded none, since they show only in a pass.
        kept: what `kept_record` has just given; None asks it.

    Raises:
        KitError: as `trace_of`.
    """
    if getattr(model, "runs_itself", False):  # a bare tower may stand for a model
        raise KitError(
            f'"{model.name}" takes each part by a map of its own, so no pass of a tower gives its '
            "representation, and nothing inside can be replaced or looked at; use model.base, or one map for "
            'all parts, kind="shared".'
        )
    kept = kept or kept_record(model)
    if kept is not None and editing in (None, kept.editing):
        return kept
    model.check_ready()
    stamp, weight = Stamp(model.tower), next(model.tower.parameters())
    editing = frozenset() if editing is None else editing
    with only(stamp.hooks, editing):
        module = _export(model.name, model.tower, model.image_size, weight)
    stamp.settle()
    model._record = Record(Trace(module), model.tower, stamp, editing)
    return model._record


def hooks_of(model: "Model", kept: Record | None = None) -> list[Hooks]:
    """The forward hooks that are set on a model's tower now; `kept` as for `record_of`."""
    kept = kept or kept_record(model)
    return (Stamp(model.tower) if kept is None else kept.stamp).hooks


def _export(name: str, tower: nn.Module, size: tuple[int, int], like: Tensor) -> fx.GraphModule:
    """The tower as a graph module: from a kept record where one is true, else recorded and kept."""
    kept = Kept(tower, size, like)
    module = kept.read()
    if module is None:
        with said_if_slow(f"recording {name}{kept.later}"):
            module = _exported(name, tower, size, like)
        kept.write(module)
    return module


def _exported(name: str, tower: nn.Module, size: tuple[int, int], like: Tensor) -> fx.GraphModule:
    """The tower as a graph module with plain arguments, without operations that do nothing."""
    pixels = torch.zeros(EXAMPLE_BATCH, 3, *size, dtype=like.dtype, device=like.device)
    batch = ({0: torch.export.Dim.DYNAMIC},)
    try:
        with (
            torch.no_grad(),
            warnings.catch_warnings(action="ignore"),  # about torch's own future, in torch's own files
            mock.patch.object(nn.MultiheadAttention, "forward", _batch_first_attention),
        ):
            program = torch.export.export(tower, (pixels,), dynamic_shapes=batch, strict=False)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if _has_no_output(tower, pixels):
            raise Refused(
                f'"{name}" is refused: it gives tokens and no one representation of a picture ("{reason}"); '
                "wrap it in a module that pools them."
            ) from None
        if reason.startswith("Constraints violated"):
            reason += (
                " Its forward takes the number of pictures for a fixed number, as len(pixels) and int(...) "
                "do; write pixels.shape[0]."
            )
        raise KitError(f'"{name}" cannot be recorded by torch.export: {reason}') from error
    expect_representation(name, _given(program))
    with warnings.catch_warnings(action="ignore"):
        module = program.module(check_guards=False)
        if any(_in_place(n) for n in module.graph.nodes):
            module = program.run_decompositions({}).module(check_guards=False)
    graph = module.graph
    graph.set_codegen(fx.graph.CodeGen())
    for node in list(graph.nodes):
        place = path_in(node.meta.get("nn_module_stack") or {})
        node.meta = {"val": known(node.meta.get("val")), "module": place}
        if node.op == "output":
            node.args = (node.args[0][0],)
        elif node.target is aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        elif _does_nothing(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    # also what torch would keep for its random numbers, such as attention that nothing reads
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    module.recompile()
    return module


def _given(program: torch.export.ExportedProgram) -> object:
    """What a recorded tower gives, with tensors that hold no numbers."""
    output = next(n for n in program.graph.nodes if n.op == "output")
    values = [n.meta["val"] if isinstance(n, fx.Node) else n for n in output.args[0]]
    return tree_unflatten(values, program.call_spec.out_spec)


def _has_no_output(tower: nn.Module, pixels: Tensor) -> bool:
    """Does the library's own module say that it is not made to give one?"""
    try:
        with torch.no_grad():
            tower(pixels)
    except NotImplementedError:
        return True
    except Exception:  # another fault, which the recording itself reports
        return False
    return False


_library_attention = nn.MultiheadAttention.forward


def _batch_first_attention(self, query, key, value, *args, **kwargs) -> tuple[Tensor, Tensor | None]:
    """`nn.MultiheadAttention` for attention without masks, recorded without its detour.

    The module's Python path, the one that can be recorded, puts tokens first and copies queries,
    keys and values; its fused path does not. Where patterns are asked for, as they are unless the caller
    says otherwise, it writes attention out: here they are written beside it, and fall away where nobody
    reads them. Any other use is left to the module itself.
    """
    asked = {name for name, value in kwargs.items() if value is not None} - {"need_weights"}
    plain = key is value and query.ndim == key.ndim == 3 and not args and not asked
    known = self.batch_first and self._qkv_same_embed_dim and self.bias_k is None and not self.add_zero_attn
    if not (plain and known):
        return _library_attention(self, query, key, value, *args, **kwargs)
    if query is key:
        packed = F.linear(query, self.in_proj_weight, self.in_proj_bias)  # [batch, token, 3 * dim]
        q, k, v = packed.unflatten(-1, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4).unbind(0)
    else:
        weights, dim = self.in_proj_weight, self.embed_dim
        biases = (None, None) if self.in_proj_bias is None else self.in_proj_bias.split((dim, 2 * dim))
        q = F.linear(query, weights[:dim], biases[0]).unflatten(-1, (self.num_heads, self.head_dim))
        packed = F.linear(key, weights[dim:], biases[1])  # [batch, token, 2 * dim]
        k, v = packed.unflatten(-1, (2, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4).unbind(0)
        q = q.transpose(1, 2)  # [batch, head, query, head_dim]
    out = F.scaled_dot_product_attention(q, k, v)  # [batch, head, query, head_dim]
    pattern = None
    if kwargs.get("need_weights", True):
        pattern = (q @ k.transpose(-2, -1) / self.head_dim**0.5).softmax(-1).mean(1)  # [batch, query, key]
    return self.out_proj(out.transpose(1, 2).flatten(2)), pattern


def _in_place(node: fx.Node) -> bool:
    name = getattr(getattr(node.target, "_schema", None), "name", "")
    return node.op == "call_function" and name.endswith("_") and not name.endswith("__")


def _does_nothing(node: fx.Node) -> bool:
    """Dropout in eval mode, casts to the same type, slices of everything."""
    if node.target is aten.dropout.default:
        return node.args[2] is False
    if node.target in (aten.to.dtype, aten.alias.default, aten.detach.default):
        return node.meta["val"].dtype == node.args[0].meta["val"].dtype
    if node.target in (aten.pad.default, aten.constant_pad_nd.default):
        return not any(node.args[1])
    if node.target is aten.slice.Tensor:
        return shape_of(node) == shape_of(node.args[0])
    return False
