"""The operations that a record may name: a closed list. None writes to its inputs, to a file or elsewhere."""

import operator
from collections.abc import Callable

from kit.models.nodes import aten

_ATEN = """
_native_batch_norm_legit.no_stats _native_batch_norm_legit_no_training.default _to_copy.default
_unsafe_view.default _upsample_bicubic2d_aa.vec adaptive_avg_pool2d.default add.Tensor amax.default
arange.default arange.start avg_pool1d.default avg_pool2d.default batch_norm.default cat.default
chunk.default clamp.default clamp_min.default clone.default col2im.default contiguous.default
conv2d.default copy.default cos.default div.Tensor div.Tensor_mode einsum.default exp.default
expand.default expand_as.default flatten.using_ints gelu.default group_norm.default hardswish.default
im2col.default index.Tensor layer_norm.default linalg_vector_norm.default linear.default matmul.default
max_pool2d.default mean.dim meshgrid.indexing mul.Tensor neg.default pad.default permute.default
pow.Scalar pow.Tensor_Scalar relu.default repeat.default repeat_interleave.self_int reshape.default
reshape_as.default roll.default rsub.Scalar scaled_dot_product_attention.default select.int
select_scatter.default sigmoid.default silu.default sin.default slice.Tensor slice_scatter.default
softmax.int split.Tensor split_with_sizes.default stack.default sub.Tensor sum.dim_IntList sym_size.int
to.device to.dtype transpose.int type_as.default unbind.int unflatten.int unsqueeze.default
upsample_bicubic2d.vec view.default zeros.default
"""


def _aten(name: str) -> Callable:
    packet, _, overload = name.partition(".")
    return getattr(getattr(aten, packet), overload)


OPERATIONS = {name: _aten(name) for name in _ATEN.split()} | {
    "getitem": operator.getitem,
    "mul": operator.mul,
}
NAMES = {operation: name for name, operation in OPERATIONS.items()}
