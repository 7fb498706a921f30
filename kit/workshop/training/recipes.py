"""The recipes: one entry for each model that is trained here."""

from dataclasses import replace

from kit.workshop.training.objectives import LABELS
from kit.workshop.training.recipe import CHUNK, ClipRecipe, Cycle, DistilRecipe, LabelRecipe, Phase, Recipe

PLAIN = {"kind": "single", "bias": 0.9, "colours": 0.0, "textures": 0.0, "sizes": ("medium", "large")}
EASY = {"kind": "single", "bias": 0.9, "colours": 0.33, "textures": 0.3, "sizes": ("medium", "large")}
CLEAN = {"kind": "mixed", "mix": "clean", "bias": 0.9, "colours": 0.33, "textures": 0.3, "words": 0.0}
HARD = CLEAN | {"colours": 0.5, "bias": 0.95}
WEB = {"kind": "mixed", "mix": "web", "bias": 0.97, "colours": 0.4, "textures": 0.3, "words": 0.0}

BIG = {"kind": "single", "colours": 0.0, "textures": 0.0, "sizes": ("large",)}
SINGLE = {"kind": "single", "colours": 0.33, "textures": 0.3, "sizes": ("medium", "large")}
ANY = {"kind": "single", "colours": 0.5, "textures": 0.3}

FINE = CLEAN | {"colours": 0.45, "bias": 0.95}

LARGE = {"image_size": 64, "layers": 6, "width": 192, "head_width": 32, "patch_size": 8}
SMALL = LARGE | {"width": 128}
READS = {"context_length": 24, "width": 128, "heads": 4, "layers": 3}
READS_LITTLE = READS | {"width": 96, "layers": 2}


def _clean(name: str, vision: dict, text: dict, boxes: float = 0.0) -> ClipRecipe:
    """Labels first, then captions, in two cycles: the second one on harder scenes."""
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    some = min(31, patches)
    phases = (
        Phase(40 * CHUNK, PLAIN, patches=some),
        Phase(80 * CHUNK, EASY, patches=some),
        Phase(140 * CHUNK, CLEAN, patches=some),
        Phase(264 * CHUNK, CLEAN, text=True, patches=some),
        Phase(274 * CHUNK, CLEAN, text=True, patches=patches),
        Phase(370 * CHUNK, HARD, text=True, patches=some, batch=256, emphasis={"count": 3.0}),
        Phase(420 * CHUNK, HARD, text=True, patches=patches, batch=256, emphasis={"count": 3.0}),
    )
    phases = tuple(replace(phase, boxes=boxes) for phase in phases)
    cycles = (Cycle(180 * CHUNK, 274 * CHUNK), Cycle(320 * CHUNK, 420 * CHUNK))
    return ClipRecipe(name=name, vision=vision, text=text, phases=phases, cycles=cycles)


def _then_boxes(recipe: ClipRecipe) -> ClipRecipe:
    """A third cycle, in which half of the objects stand beside a box that says nothing."""
    start, last = recipe.samples, recipe.phases[-1]
    some = replace(last, until=start + 60 * CHUNK, boxes=0.5, patches=recipe.phases[0].patches)
    whole = replace(last, until=start + 90 * CHUNK, boxes=0.5)
    cycle = Cycle(start + 30 * CHUNK, whole.until)
    return replace(recipe, phases=(*recipe.phases, some, whole), cycles=(*recipe.cycles, cycle))


def _web(twin: ClipRecipe) -> ClipRecipe:
    """One cycle on the web mix, from the weights of the clean twin: only the data differ."""
    patches = twin.phases[-1].patches
    phases = (
        Phase(110 * CHUNK, WEB, text=True, patches=min(31, patches), batch=256),
        Phase(160 * CHUNK, WEB, text=True, patches=patches, batch=256),
    )
    return replace(
        twin,
        name=f"{twin.name}-web",
        phases=phases,
        cycles=(Cycle(60 * CHUNK, 160 * CHUNK),),
        start=twin.name,
        labels=(*LABELS, "word"),
    )


def _fine(twin: ClipRecipe, scenes: dict, chunks: int, **others) -> ClipRecipe:
    """One cycle on pictures of twice the size, from the weights of the twin: four times the patches."""
    size = 2 * twin.vision["image_size"]
    clean = {"emphasis": {"count": 2.0}, "boxes": 0.25} if scenes["mix"] == "clean" else {}
    some = Phase(chunks * 13 // 16 * CHUNK, scenes, text=True, patches=63, batch=256, **clean)
    more = Phase(chunks * CHUNK, scenes, text=True, patches=159, batch=256, **clean)
    recipe = replace(
        twin,
        name=f"{twin.name}-128",
        vision=twin.vision | {"image_size": size},
        preprocess=twin.preprocess | {"size": size},
        phases=(some, more),
        cycles=(Cycle(chunks * 3 // 8 * CHUNK, chunks * CHUNK),),
        warmup=60,
        ema=0.99,
        start=twin.name,
        eight_bits=True,
    )
    return replace(recipe, **others)


def _then_harder(recipe: ClipRecipe) -> ClipRecipe:
    """A second cycle with more recoloured objects, half of them beside a box that says nothing."""
    start = recipe.samples
    some, more = (
        replace(phase, until=start + length * CHUNK, scenes=FINE | {"colours": 0.55}, boxes=0.5)
        for phase, length in zip(recipe.phases, (40, 48), strict=True)
    )
    cycle = Cycle(start + 10 * CHUNK, more.until, peak=0.6)
    return replace(recipe, phases=(*recipe.phases, some, more), cycles=(*recipe.cycles, cycle))


def _labels(name: str, architecture: str, settings: dict, **others) -> LabelRecipe:
    """The world's labels, on scenes that become harder, in one cycle."""
    phases = (
        Phase(40 * CHUNK, PLAIN),
        Phase(80 * CHUNK, EASY),
        Phase(240 * CHUNK, CLEAN),
        Phase(320 * CHUNK, HARD),
    )
    cycles = (Cycle(160 * CHUNK, 320 * CHUNK),)
    settings = {"img_size": 64, "drop_path_rate": 0.0} | settings
    return LabelRecipe(
        name=name, architecture=architecture, settings=settings, phases=phases, cycles=cycles, **others
    )


def _distilled(name: str, architecture: str, settings: dict, **others) -> DistilRecipe:
    """Single objects that stay in the crops: large ones first, in their own colours. One cycle."""
    settings = {"img_size": 64, "drop_path_rate": 0.0} | settings
    return DistilRecipe(
        name=name,
        architecture=architecture,
        settings=settings,
        phases=(Phase(30 * CHUNK, BIG), Phase(110 * CHUNK, SINGLE), Phase(200 * CHUNK, ANY)),
        cycles=(Cycle(110 * CHUNK, 200 * CHUNK),),
        **others,
    )


def _registers(twin: DistilRecipe) -> DistilRecipe:
    """One cycle from the weights of a twin: with registers and layer scales, some patches hidden."""
    return replace(
        twin,
        name=f"{twin.name}v2",
        architecture="vit_small_patch14_reg4_dinov2",
        settings=twin.settings | {"init_values": 0.1},
        hide=0.3,
        phases=(Phase(40 * CHUNK, SINGLE), Phase(80 * CHUNK, ANY)),
        cycles=(Cycle(30 * CHUNK, 80 * CHUNK),),
        start=twin.name,
    )


VIT = {"patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4}
SWIN = {"patch_size": 4, "window_size": 4, "embed_dim": 48, "depths": (2, 4, 2), "num_heads": (2, 4, 8)}
MAXVIT = {"stem_width": 24, "embed_dim": (32, 64, 96), "depths": (1, 2, 2), "head_hidden_size": 0}

_CLIPS = [
    _then_boxes(_clean("stickers-l8", LARGE, READS)),
    _clean("stickers-s8", SMALL, READS_LITTLE, boxes=0.2),
    _clean("stickers-s16", SMALL | {"patch_size": 16}, READS_LITTLE, boxes=0.2),
]
_WEBS = [_web(twin) for twin in _CLIPS]
_FINE = [
    _then_harder(_fine(_CLIPS[0], FINE, 64)),
    _fine(_WEBS[0], WEB, 32, change=("stickers-l8", "stickers-l8-128")),
]
_LABELLED = [
    _labels("stickers-deit", "deit_tiny_patch16_224", VIT),
    _labels("stickers-swin", "swin_tiny_patch4_window7_224", SWIN).scaled(240 * CHUNK),
    _labels("stickers-maxvit", "maxvit_tiny_tf_224", MAXVIT, bfloat16=False).scaled(160 * CHUNK),
]
_DINO = _distilled("stickers-dino", "vit_small_patch8_224", VIT)
_DISTILLED = [_DINO, _registers(_DINO)]
RECIPES: dict[str, Recipe] = {r.name: r for r in [*_CLIPS, *_WEBS, *_FINE, *_LABELLED, *_DISTILLED]}
