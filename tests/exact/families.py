"""Small members of the families of vision transformers: shapes cut down, operations as in the full ones."""

import torch

import kit
from kit.models import Model

SMALL = {"img_size": 64}
FOUR = {"depths": (1, 1, 2, 1)}


def seen_at(size: int) -> dict:
    """The size of pictures, for towers that take any and have no argument for it."""
    return {"pretrained_cfg_overlay": {"input_size": (3, size, size)}}


# timm name -> what is passed to timm.create_model
EXACT = {
    "beit_base_patch16_224": SMALL | {"depth": 2, "embed_dim": 96, "num_heads": 3},
    "cait_xxs24_224": SMALL | {"depth": 2},
    "caformer_s18": seen_at(64),
    "coat_lite_tiny": seen_at(64) | {"serial_depths": (1, 1, 1, 1)},
    "coat_tiny": SMALL | {"serial_depths": (1, 1, 1, 1), "parallel_depth": 1},
    "coatnet_0_rw_224": SMALL | {"depths": (1, 1, 2, 1)},
    "convit_tiny": SMALL | {"depth": 3, "local_up_to_layer": 2},
    "davit_tiny": seen_at(64) | FOUR | {"window_size": 4, "embed_dims": (48, 96, 192, 384)},
    "deit3_small_patch16_224": SMALL | {"depth": 2},
    "efficientformer_l1": {"depths": (1, 1, 1, 2)},
    "eva02_tiny_patch14_224": {"img_size": 70, "depth": 2},
    "flexivit_small": SMALL | {"depth": 2},
    "gcvit_xxtiny": SMALL | {"embed_dim": 32},
    "maxvit_tiny_tf_224": SMALL | {"embed_dim": (32, 64), "depths": (1, 2), "stem_width": 32},
    "maxxvit_rmlp_nano_rw_256": SMALL | {"embed_dim": (32, 64), "depths": (1, 2), "stem_width": (32, 32)},
    "mvitv2_tiny": SMALL,
    "naflexvit_base_patch16_gap": {"depth": 2, "embed_dim": 96, "num_heads": 3},
    "nextvit_small": seen_at(64) | {"depths": (1, 2, 5, 1), "stem_chs": (32, 16, 32)},
    "pit_ti_224": SMALL | {"depth": (1, 2, 1)},
    "pvt_v2_b0": seen_at(64) | FOUR,
    "swin_tiny_patch4_window7_224": {"img_size": 112, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32},
    "swinv2_tiny_window8_256": {"img_size": 64, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32},
    "swinv2_cr_tiny_224": {"img_size": 112, "window_size": 7, "depths": (2, 2), "num_heads": (2, 4)},
    "tnt_s_patch16_224": SMALL | {"depth": 2},
    "twins_pcpvt_small": SMALL | FOUR,
    "twins_svt_small": SMALL | FOUR | {"wss": (2, 2, 2, 2)},
    "visformer_tiny": SMALL | {"depth": (1, 2, 2)},
    "vit_dlittle_patch16_reg1_gap_256": SMALL | {"depth": 2, "embed_dim": 64, "num_heads": 2},
    "vit_dpwee_patch16_reg1_gap_256": SMALL | {"depth": 2, "embed_dim": 64, "num_heads": 2},
    "vit_dwee_patch16_reg1_gap_256": SMALL | {"depth": 2, "embed_dim": 64, "num_heads": 2},
    "vit_relpos_small_patch16_224": SMALL | {"depth": 2},
    "vit_small_patch16_dinov3": SMALL | {"depth": 2},
    "vit_tiny_r_s16_p8_224": SMALL | {"depth": 2},
    "vitamin_small_224": SMALL | {"depth": 3},
    "volo_d1_224": SMALL,
    "xcit_nano_12_p8_224": SMALL | {"depth": 2},
}
PARTIAL = {  # attention that is hidden inside other parts
    "crossvit_tiny_240": {"depth": ((1, 1, 0), (1, 1, 0))},
    "hiera_tiny_224": SMALL,
    "levit_128s": SMALL,
    "nest_tiny": SMALL,
    "tiny_vit_5m_224": seen_at(64) | {"depths": (1, 1, 2, 2), "window_sizes": (2, 2, 4, 2)},
}
# of these, tokens meet in attention and in one final pooling alone
PLAIN = {
    "beit_base_patch16_224",
    "deit3_small_patch16_224",
    "eva02_tiny_patch14_224",
    "flexivit_small",
    "levit_128s",
    "naflexvit_base_patch16_gap",
    "vit_relpos_small_patch16_224",
    "vit_small_patch16_dinov3",
    "vit_tiny_r_s16_p8_224",
}
# no linear map reads the heads of a layer alone: convolutions, activations or sums come between
NO_PROJECTION = {
    "coat_lite_tiny",
    "coat_tiny",
    "coatnet_0_rw_224",
    "mvitv2_tiny",
    "visformer_tiny",
    "vit_dlittle_patch16_reg1_gap_256",
    "vit_dpwee_patch16_reg1_gap_256",
    "vit_dwee_patch16_reg1_gap_256",
}
# layers that write to tokens which the representation does not read
SILENT = {
    "cait_xxs24_224": [0, 1],
    "coat_lite_tiny": [0, 1, 2],
    "coat_tiny": [0],
    "convit_tiny": [0, 1],
    "crossvit_tiny_240": [0, 1, 4, 5],
    "tnt_s_patch16_224": [0, 2],
    "volo_d1_224": list(range(18)),
    "xcit_nano_12_p8_224": [0, 1],
}
# parts are whole branches
NO_ATTENTION = {"convnext_atto": {"depths": (1, 1, 1, 1)}, "mixer_s32_224": SMALL}
REFUSED = {
    "fastvit_t8": {"layers": (1, 1, 1, 1)},
    "mobilevit_xs": {},
    "efficientvit_b0": {"depths": (1, 1, 1, 1, 1)},
    "resnet18": {"layers": (1, 1, 1, 1)},
}


def family(name: str, config: dict) -> Model:
    """A small random member in float64 with nothing left at a neutral value."""
    model = kit.load(f"timm/{name}", pretrained="random", config=config)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.tower.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
        for key, buffer in model.tower.named_buffers():
            if key.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=noise))
            if key.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=noise))
    return model.double()
