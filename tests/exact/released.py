"""The first paper's released algorithms, written out the slow way."""

import torch
from torch import Tensor

from kit.models.model import Model
from kit.parts import run
from kit.parts.paper import paper_vectors
from kit.projections import TextSpan

CLEAR = 1e-5  # margins below this are decided by rounding


def token_parts(model: Model, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """What each head writes from each token, as the released logger books it, and the representation.

    Module by module through an open_clip tower that has a class token.

    Returns:
        [batch, layer, head, token, embed] and [batch, embed].
    """
    tower, inputs = model.library_model.visual, []
    blocks = tower.transformer.resblocks
    hooks = [
        block.register_forward_hook(lambda _, args, out: inputs.append((args[0], out))) for block in blocks
    ]
    with torch.no_grad():
        whole = tower(pixels)
    for hook in hooks:
        hook.remove()
    last, norm = inputs[-1][1][:, 0], tower.ln_post
    mean, sigma = last.mean(-1), (last.var(-1, unbiased=False) + norm.eps).sqrt()
    components, pieces = 2 * len(blocks) + 1, []
    for block, (x, _) in zip(blocks, inputs):
        attention, x = block.attn, block.ln_1(x)
        tokens = x.shape[1]
        qkv = (x @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, -1)
        q, k, v = (each.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for each in qkv)
        pattern = (q[:, :, :1] @ k.mT / q.shape[-1] ** 0.5).softmax(-1)[:, :, 0]  # [batch, head, token]
        out = attention.out_proj.weight.T.unflatten(0, (attention.num_heads, -1))  # [head, head_dim, dim]
        written = torch.einsum("bhn,bhnf,hfd->bhnd", pattern, v, out)
        cells = attention.num_heads * tokens
        written = written + attention.out_proj.bias / cells - mean[:, None, None, None] / (components * cells)
        projected = (written * norm.weight) @ tower.proj / sigma[:, None, None, None]
        pieces.append(projected + norm.bias @ tower.proj / (components * cells))
    return torch.stack(pieces, 1).detach(), whole


def heads_of(model: Model, images, batch: int) -> tuple[list[str], Tensor]:
    """Names of the heads, and what they write in the paper's convention, float32 [image, head, embed]."""
    found = []
    for start in range(0, len(images), batch):
        held = run(model, model.preprocess(images[start : start + batch]))
        index, values = paper_vectors(held)
        rows = [int(r) for r in held.index.index if held.index["kind"][r] == "head"]
        names = [held.index["name"][r] for r in rows]
        places = [list(index["name"]).index(name) for name in names]
        found.append((values[:, places] / held.norm[:, None, None]).float())
    return names, torch.cat(found)


def text_set(x: Tensor, texts: Tensor, count: int, rank: int, svd=None) -> tuple[list[int], list[float]]:
    """The released `replace_with_iterative_removal` for one head: picks and the margins of their variances.

    Args:
        x: the head's vectors as they are kept, [image, embed].
        texts: [text, embed].
        count: how many are picked.
        rank: leading right singular vectors that texts are projected on.
        svd: x to its right singular vectors, as rows; None takes those of float64.
    """
    span = (torch.linalg.svd(x.double(), full_matrices=False).Vh if svd is None else svd(x))[:rank].double()
    texts, x = texts.double() @ span.T @ span, x.double() - x.double().mean(0)
    picked, margins = [], []
    for _ in range(count):
        variance = (x @ texts.T).var(0)
        best = int(variance.argmax())
        second = variance.clone()
        second[best] = 0
        picked.append(best)
        margins.append(float((variance[best] - second.max()) / variance[best]))
        unit = texts[best] / texts[best].norm()
        x, texts = x - torch.outer(x @ unit, unit), texts - torch.outer(texts @ unit, unit)
    return picked, margins


def compared(found: TextSpan, wanted: dict[str, tuple[list[int], list[float]]], texts: list[str]) -> dict:
    """How many picks are the same, part by part up to the first tie, which rounding decides."""
    equal = total = ties = 0
    for part, (picks, margins) in wanted.items():
        own = list(found.table[found.table["part"] == part]["text"])
        first = next((n for n, margin in enumerate(margins) if margin < CLEAR), len(picks))
        ties += len(picks) - first
        total += first
        equal += sum(a == texts[b] for a, b in zip(own[:first], picks[:first]))
    return {"equal": equal, "of": total, "behind ties": ties}
