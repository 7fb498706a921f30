"""The towers of an open_clip model, written out for training: a subset of the patches, in bfloat16.

Both functions compute what the modules compute, from a dictionary of their
weights. Reasons, measured on a 2-core machine with AMX (torch 2.13): plain
`bmm` and softmax in bfloat16 run 3 times as fast as the module in float32, the
fused CPU attention being slow backwards; 31 patches and the class token make
32 tokens, which is 20 % faster than 33.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Weights = dict[str, Tensor]


def compute_dtype(device: str | torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it fast (AMX, AVX-512 BF16, CUDA), else float32."""
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast or torch.device(device).type == "cuda" else torch.float32


def weights_of(clip: nn.Module, dtype: torch.dtype) -> Weights:
    """Every weight of the model in `dtype`; gradients reach the model's own through the cast."""
    return {name: p.to(dtype) for name, p in clip.named_parameters()}


def choose_patches(batch: int, patches: int, keep: int, generator: torch.Generator) -> Tensor | None:
    """Numbers of the patches that each image keeps, int64 [batch, keep]; None where all are kept."""
    if keep >= patches:
        return None
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    return noise.topk(keep, dim=1).indices  # [batch, keep]


def image_features(clip: nn.Module, weights: Weights, pixels: Tensor, keep: Tensor | None) -> Tensor:
    """The class token after `ln_post`, [batch, dim]: before the projection to the joint space.

    Args:
        clip: the open_clip model; only its shape is read.
        weights: from `weights_of`.
        pixels: normalised, [batch, 3, height, width].
        keep: from `choose_patches`.
    """
    visual = clip.visual
    w = {n.removeprefix("visual."): p for n, p in weights.items() if n.startswith("visual.")}
    conv, pos = w["conv1.weight"], w["positional_embedding"]
    side = conv.shape[-1]
    rows, cols = pixels.shape[-2] // side, pixels.shape[-1] // side
    x = pixels.to(conv.dtype).unflatten(3, (cols, side)).unflatten(2, (rows, side))
    x = x.permute(0, 2, 4, 1, 3, 5).reshape(len(x), rows * cols, -1)  # [batch, patch, 3 * side * side]
    where = pos[1:]  # [patch, dim]
    if keep is not None:
        x = x.gather(1, keep[..., None].expand(-1, -1, x.shape[-1]))
        where = where[keep]  # [batch, kept, dim]
    x = F.linear(x, conv.flatten(1)) + where
    first = (w["class_embedding"] + pos[0]).expand(len(x), 1, -1)  # [batch, 1, dim]
    x = _norm(torch.cat([first, x], 1), w, "ln_pre", visual.ln_pre.eps)
    blocks = visual.transformer.resblocks
    for i, block in enumerate(blocks):
        x = _block(x, w, f"transformer.resblocks.{i}.", block.attn.num_heads, block.ln_1.eps, None)
    return _norm(x[:, 0], w, "ln_post", visual.ln_post.eps)


def text_features(clip: nn.Module, weights: Weights, tokens: Tensor) -> Tensor:
    """What `encode_text` returns, [text, embed]; columns of padding alone are not computed.

    A token sees earlier ones only, so cutting the padding changes nothing.
    """
    w = {n: p for n, p in weights.items() if not n.startswith("visual.")}
    end = tokens.argmax(1)  # the end token is the largest
    tokens = tokens[:, : int(end.max()) + 1]
    x = F.embedding(tokens, w["token_embedding.weight"]) + w["positional_embedding"][: tokens.shape[1]]
    mask = torch.full((x.shape[1], x.shape[1]), float("-inf"), dtype=x.dtype, device=x.device).triu(1)
    for i, block in enumerate(clip.transformer.resblocks):
        x = _block(x, w, f"transformer.resblocks.{i}.", block.attn.num_heads, block.ln_1.eps, mask)
    x = x[torch.arange(len(x), device=x.device), end]  # [text, dim]
    return _norm(x, w, "ln_final", clip.ln_final.eps) @ w["text_projection"]


def _norm(x: Tensor, w: Weights, name: str, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def _block(x: Tensor, w: Weights, at: str, heads: int, eps: float, mask: Tensor | None) -> Tensor:
    """One residual block: attention, then MLP. x: [batch, token, dim]."""
    batch, tokens, dim = x.shape
    h = _norm(x, w, f"{at}ln_1", eps)
    qkv = F.linear(h, w[f"{at}attn.in_proj_weight"], w[f"{at}attn.in_proj_bias"])
    qkv = qkv.view(batch, tokens, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    q, k, v = (t.reshape(batch * heads, tokens, dim // heads) for t in qkv.unbind(0))
    scores = torch.bmm(q * (dim // heads) ** -0.5, k.transpose(1, 2))  # [batch * head, token, token]
    pattern = (scores if mask is None else scores + mask).softmax(-1)
    z = torch.bmm(pattern, v).view(batch, heads, tokens, -1).transpose(1, 2).reshape(batch, tokens, dim)
    x = x + F.linear(z, w[f"{at}attn.out_proj.weight"], w[f"{at}attn.out_proj.bias"])
    h = _norm(x, w, f"{at}ln_2", eps)
    h = F.gelu(F.linear(h, w[f"{at}mlp.c_fc.weight"], w[f"{at}mlp.c_fc.bias"]))
    return x + F.linear(h, w[f"{at}mlp.c_proj.weight"], w[f"{at}mlp.c_proj.bias"])
