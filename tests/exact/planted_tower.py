"""A tower set by hand in which it is known where every map should point.

Red patches speak for the direction, blue ones against it. In each layer the class token reads red patches
with head 0 and blue ones with head 1; patches carry their colour in the stream. The embedding is red, a
constant, blue, nothing.
"""

import torch

import kit

RED, BLUE, CLS, FOR, AGAINST = (slice(at, at + 2) for at in range(0, 10, 2))  # features of the stream
PAIR = torch.tensor([1.0, -1.0])  # no mean, so that norms only scale
TOWARDS = torch.tensor([[1.0, 0.0, -1.0, 0.0]])
VISION = {"width": 16, "layers": 2, "head_width": 8, "patch_size": 8, "image_size": 32, "mlp_ratio": 1.0}


def tower():
    """A model of 16 patches; `TOWARDS` is red, its negative blue."""
    config = {"embed_dim": 4, "vision_cfg": VISION, "text_cfg": None}
    model = kit.load("ViT-B-32", "random", config=config)
    visual = model.tower
    with torch.no_grad():
        for name, parameter in visual.named_parameters():
            parameter.zero_()
            if name.endswith("weight") and parameter.ndim == 1:
                parameter.fill_(1.0)  # norms
        visual.conv1.weight[RED, 0] = PAIR[:, None, None] / 64  # a patch with 1 in red and 0 in blue
        visual.conv1.weight[BLUE, 2] = PAIR[:, None, None] / 64
        visual.class_embedding[CLS] = PAIR
        for features, place in ((RED, 0), (FOR, 0), (CLS, 1), (BLUE, 2), (AGAINST, 2)):
            visual.proj[features, place] = PAIR
        for block in visual.transformer.resblocks:
            query, key, value = block.attn.in_proj_weight.unflatten(0, (3, 2, 8))  # [head, head_dim, dim]
            for head, colour, out in ((0, RED, FOR), (1, BLUE, AGAINST)):
                query[head, 0, CLS] = PAIR
                key[head, 0, colour] = PAIR
                query[head, 1, colour] = key[head, 1, colour] = PAIR  # patches of a colour find each other
                value[head, 0, colour] = PAIR
                block.attn.out_proj.weight[out, 8 * head] = PAIR
    return model


def pixels() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures [batch, 3, 32, 32] and which patches are red, bool [batch, 4, 4]; the others are blue."""
    red = torch.zeros(2, 4, 4, dtype=torch.bool)
    red[0, 1:3, 1:3] = True
    red[1, 3, :3] = True
    large = red.repeat_interleave(8, 1).repeat_interleave(8, 2).float()  # [batch, 32, 32]
    return torch.stack([large, torch.zeros_like(large), 1 - large], 1), red
