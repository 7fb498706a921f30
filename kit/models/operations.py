"""The operations that a record may name: a closed list. None writes to its inputs, to a file or elsewhere."""

import operator

from kit.models.nodes import aten

_ATEN = """
_native_batch_norm_legit.no_stats _native_batch_norm_legit_no_training.default _softmax.default
_to_copy.default _unsafe_view.default _upsample_bicubic2d_aa.vec abs.default adaptive_avg_pool1d.default
adaptive_avg_pool2d.default add.Scalar add.Tensor addcmul.default addmm.default amax.default amin.default
arange.default arange.start arange.start_step avg_pool1d.default avg_pool2d.default baddbmm.default
batch_norm.default bitwise_and.Tensor bitwise_not.default bmm.default cat.default chunk.default clamp.Tensor
clamp.default clamp_max.default clamp_min.default clone.default col2im.default constant_pad_nd.default
contiguous.default conv1d.default conv2d.default conv2d.padding copy.default cos.default cumsum.default
diagonal.default div.Scalar div.Tensor div.Tensor_mode einsum.default elu.default eq.Scalar eq.Tensor
erf.default exp.default expand.default expand_as.default flatten.using_ints flip.default
floor_divide.default full.default full_like.default gather.default ge.Scalar gelu.default glu.default
group_norm.default gt.Scalar gt.Tensor hardsigmoid.default hardswish.default hardtanh.default im2col.default
index.Tensor index_select.default layer_norm.default le.Scalar leaky_relu.default lift_fresh_copy.default
linalg_vector_norm.default linear.default linspace.default log.default log_softmax.int logical_not.default
logsumexp.default lt.Scalar lt.Tensor masked_fill.Scalar matmul.default max.dim max_pool2d.default
maximum.default mean.default mean.dim meshgrid.indexing minimum.default mish.default mm.default movedim.int
mul.Scalar mul.Tensor narrow.default ne.Scalar ne.Tensor neg.default one_hot.default ones.default
ones_like.default pad.default permute.default pixel_shuffle.default pixel_unshuffle.default pow.Scalar
pow.Tensor_Scalar pow.Tensor_Tensor prelu.default reciprocal.default relu.default relu6.default
remainder.Scalar repeat.default repeat_interleave.self_int reshape.default reshape_as.default
rms_norm.default roll.default rsqrt.default rsub.Scalar scaled_dot_product_attention.default select.int
select_scatter.default sigmoid.default silu.default sin.default slice.Tensor slice_scatter.default
softmax.int softplus.default split.Tensor split.sizes split_with_sizes.default sqrt.default square.default
squeeze.default squeeze.dim squeeze.dims stack.default sub.Scalar sub.Tensor sum.default sum.dim_IntList
sym_size.int t.default tanh.default tile.default to.device to.dtype to.dtype_layout transpose.int
tril.default triu.default type_as.default unbind.int unflatten.int unsqueeze.default
upsample_bicubic2d.default upsample_bicubic2d.vec upsample_bilinear2d.default upsample_bilinear2d.vec
upsample_nearest2d.default upsample_nearest2d.vec var.correction view.default where.ScalarOther
where.ScalarSelf where.self zeros.default zeros_like.default
"""


OPERATIONS = {name: operator.attrgetter(name)(aten) for name in _ATEN.split()}
OPERATIONS |= {"getitem": operator.getitem, "mul": operator.mul}
NAMES = {operation: name for name, operation in OPERATIONS.items()}
