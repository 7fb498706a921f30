"""The panels as the notebooks make them, on fewer images, and six states of each as strings.

Together the states move every control that a state has: pictures and an upload, models, prompts (unknown
words, one alone), directions, heads and other parts, heads side by side, tokens, parts that are off, direct
and total effects, means and zero, reference sets, questions, banks, numbers of texts, scores, subsets,
attributes, ways to compare, methods, classes, films and towers. The strings are of the day on which they
were written, and stay as they are: people keep such strings.
"""

from collections.abc import Callable
from functools import cache

import kit
from kit.edits import Means, ask_classes, cue_effects
from kit.maps import segment
from kit.models.directions import Directions
from kit.projections import Bank
from tests.golden.record import restore, string

SCENES = 200  # where a notebook has 1,000
STEADY = (
    "token heatmap",
    "raw attention",
    "rollout",
    "GradCAM of heads",
    "patch cosine",
    "value-only last layer",
)
STEADY += ("ClearCLIP-like",)
UPLOAD = "upload a8ca9bb12c"  # what panels call the picture below


def upload() -> bytes:
    """A picture file that is no scene: a red disc on a green ground."""
    width, height, rows = 60, 48, []
    for y in range(height):
        for x in range(width):
            inside = (x - 20) ** 2 + (y - 26) ** 2 < 200
            rows += (210, 40 + y, 30) if inside else (30 + x, 140, 2 * y)
    return b"P6 %d %d 255\n" % (width, height) + bytes(rows)


def uploaded(panel):
    """A panel that knows the upload, and looks at what it looked at before."""
    state = string(panel)
    panel.upload(upload(), "disc.ppm")
    assert not panel.message, panel.message
    restore(panel, state)
    return panel


@cache
def model(name: str = "stickers-l8"):
    """A shipped model, loaded once for all panels."""
    return kit.load(name)


@cache
def collected(count: int, seed: int, keep: str, selector: str, name: str, tokens: str | None = None):
    """Scenes with one object, and what the parts of the model wrote for them; made once for all panels."""
    scenes = kit.world.draw(count, seed)
    return scenes, kit.collect(model(), scenes, keep, name, selector=selector, tokens=tokens)


@cache
def asked(count: int, seed: int, name: str):
    """What the model that reads answers about animals; made once for all panels."""
    return ask_classes(model("stickers-l8-web"), kit.data.animals(count, seed), kit.data.animal_texts(), name)


def explorer(state: str):
    """Notebook 00's panel, with an upload."""
    return uploaded(kit.panels.Explorer(model(), texts=["a cat", "a dog"], state=state))


def head_tokens(state: str):
    """Notebook 16's panel, with an upload."""
    bank, (_, moments) = (
        Bank.stickers(model()),
        collected(SCENES // 2, 83_004, "moments", "L*.H*", "100 scenes"),
    )
    spans = kit.textspan(moments, bank, texts=1)
    return uploaded(kit.panels.HeadTokens(model(), spans=spans, bank=bank, state=state))


def spans(state: str):
    """Notebook 12's panel."""
    scenes, store = collected(SCENES, 81_001, "store", "L*.H*", "200 scenes")
    return kit.panels.Spans(model(), scenes, store, state=state)


@cache
def segmented():
    """Directions of all concepts, and what methods find of 12 scenes; made once for all panels."""
    names = list(kit.world.VALUES["concept"])
    directions = Directions(names, model().encode_text(kit.world.prompts("concept")))
    scenes = kit.world.draw(12, 85_001, kind="single")
    return directions, segment(model(), scenes, directions, scenes.masks[:, 0], STEADY)


def segmenter(state: str):
    """Notebook 15's panel, with the methods that do not divide by what may be almost zero.

    What rounding does to partial LRP and transformer attribution moves edges of masks: their figures differ
    from machine to machine.
    """
    directions, result = segmented()
    gallery = kit.world.gallery()[[0, 9, 16, 18]]
    return kit.panels.Segmenter(model(), gallery, directions, overall=result, state=state)


def groups(state: str):
    """Notebook 13's panel; the choices are those that the notebook comes to."""
    reader, tuning = model("stickers-l8-web"), asked(SCENES // 2, 82_001, "100 validation scenes")
    answers = asked(SCENES, 82_002, "200 test scenes")
    effects = cue_effects(tuning.differences(), tuning.labels["y"], tuning.labels["place"], tuning.index)
    choices = {
        "chosen by reading": "L5.H0, L1.H2, L5.H5, L0.H1, L1.H0",
        "chosen automatically": "L5.H0, L5.H5, L1.H0",
    }
    return kit.panels.Groups(reader, answers, effects, choices, kit.data.training_shares("web"), state=state)


def retrieval(state: str):
    """Notebook 14's panel, with an upload."""
    scenes, store = collected(SCENES, 81_401, "store", "L*", "200 scenes")
    return uploaded(kit.panels.Retrieval(model(), scenes, store, state=state))


def ablations(state: str):
    """Notebook 11's panel, with three of its reference sets."""
    scenes, store = collected(SCENES, 11_001, "store", "all", "200 scenes", "cls")
    _, held = collected(SCENES // 2, 11_002, "store", "all", "100 held-out scenes", "cls")
    water = held.labels["background"].isin(["sea", "lake"]).to_numpy()
    references = [
        Means.of(held),
        Means.shipped(model()),
        Means.of(held, water, "scenes on water"),
    ]
    return kit.panels.Ablations(model(), scenes, store, references, state=state)


def towers(state: str):
    """Notebook 20's panel, with an upload."""
    return uploaded(kit.panels.AnyModel(state=state))


@cache
def aligned() -> list:
    """Two towers without texts, in the space of a CLIP."""
    return [kit.align("stickers-deit"), kit.align("stickers-dino")]


def ranking(state: str):
    """Notebook 22's panel, of two towers."""
    return kit.panels.Ranking(aligned(), kit.world.draw(SCENES // 2, 85_001), state)


def planted_maps(state: str):
    """Notebook 21's panel of planted worlds."""
    return kit.panels.PlantedMaps(state)


PANELS: dict[str, Callable] = {
    "Explorer": explorer,
    "HeadTokens": head_tokens,
    "Spans": spans,
    "Segmenter": segmenter,
    "Groups": groups,
    "Retrieval": retrieval,
    "Ablations": ablations,
    "AnyModel": towers,
    "Ranking": ranking,
    "PlantedMaps": planted_maps,
}
_SIX = "a cat;a dog;a red thing;a blue thing;a thing on grass;a thing on snow"
_NET = "timm/vit_small_patch14_reg4_dinov2"
STATES: dict[str, list[str]] = {
    "Explorer": [
        "stickers-l8|scene 16|L*.H*|a cat;a dog|replace=mean",
        "stickers-l8|scene 16|L5.H3|a cat;a dog;a thing on grass|text=2|tokens=r4c2, r4c3, cls|replace=mean",
        "stickers-l8-web|scene 23|L4.H1, L5.MLP|a rabbit;a guitar|text=1|off=L5.H0, L5.H5|replace=mean"
        "|directions=raw",
        "stickers-l8|scene 0|L3.H2, L5.H0|a red thing;a blue thing|off=L0.MLP, L2.H3|effect=total"
        "|replace=mean",
        "stickers-l8|scene 9|embed|a zebra on the moon;an elephant|off=L0-4.H*, L5.MLP|directions=reference",
        f"stickers-l8|{UPLOAD}|none|a red thing|off=L*.MLP|effect=total",
    ],
    "HeadTokens": [
        f"stickers-l8|scene 16|L2.H3, L5.H0|{_SIX}|tokens=r4c2|layer=5",
        f"stickers-l8|scene 16|L5.H0, L4.H3|{_SIX}|text=4|shows=own text|film=each layer|layer=2",
        f"stickers-l8|scene 18|L3.H1|{_SIX}|text=5|tokens=cls|directions=raw|shows=attention|layer=4",
        f"stickers-l8|{UPLOAD}|L2.H3|{_SIX}|text=2|tokens=cls, r4c2, r4c3|layer=3",
        "stickers-l8|scene 10|L2.H2, L1.H4|a zebra|shows=attention|film=each layer",
        "stickers-l8|scene 5|L1.H2|a turtle;a thing on a lake|text=1|directions=raw|shows=own text|layer=1",
    ],
    "Spans": [
        "stickers-l8|stickers grammar|5|released|all images|L5.H0|",
        "stickers-l8|stickers grammar|3|variance|texture: plain|L1.H4|",
        "stickers-l8|words of the stickers grammar|4|released|size: large|L2.H3|",
        "stickers-l8|random directions|8|released|all images|L3.H5|",
        "stickers-l8|own texts|1|variance|texture: plain|L2.H3"
        "|a red thing; a thing on grass; a large thing; a zebra",
        "stickers-l8|stickers grammar|4|released|size: small|L4.H2|",
    ],
    "Segmenter": [
        "stickers-l8|scene 0|cat|token heatmap",
        "stickers-l8|scene 1|elephant|rollout",
        "stickers-l8|scene 2|cat|GradCAM",
        "stickers-l8|scene 2|dog|value-only last layer",
        "stickers-l8|scene 3|cat|patch cosine",
        "stickers-l8|scene 3|evergreen tree|raw attention",
    ],
    "Groups": [
        "stickers-l8-web|200 test scenes|none|land animal;water animal|off=L0.H1, L1.H0, L1.H2, L5.H0, L5.H5",
        "stickers-l8-web|200 test scenes|none|land animal;water animal",
        "stickers-l8-web|200 test scenes|none|land animal;water animal|off=L5.MLP",
        "stickers-l8-web|200 test scenes|none|land animal;water animal|off=L4-5.H*, !L5.H1",
        "stickers-l8-web|200 test scenes|none|land animal;water animal|off=L1.H4, L5.H3, L5.H1",
        "stickers-l8-web|200 test scenes|none|land animal;water animal|off=embed, L0.attn, bias",
    ],
    "Retrieval": [
        "stickers-l8|image 1|L2.H3|centred|colour|0",
        "stickers-l8|image 1|L5.H0|centred|background|1",
        "stickers-l8|image 17|L4.H3|raw|concept|0",
        "stickers-l8|image 40|L3.H1|product|size|2",
        "stickers-l8|image 199|L0.H4|centred|as the full model|5",
        f"stickers-l8|{UPLOAD}|L5.H0|centred|background|0",
    ],
    "Ablations": [
        "stickers-l8|100 held-out scenes|L3-5.attn|background|replace=mean",
        "stickers-l8|100 held-out scenes|L*.MLP|concept|replace=mean",
        "stickers-l8|2,000 unbiased scenes (world 1, seed 77001)|L*.MLP, embed, L1-3.attn, L5.H0|colour"
        "|replace=mean",
        "stickers-l8|scenes on water|L5.attn|background|replace=mean",
        "stickers-l8|none|L0-2.attn, L3.MLP|size",
        "stickers-l8|100 held-out scenes|all, !L2.MLP|position|tokens=cls|replace=mean",
    ],
    "AnyModel": [
        f"{_NET}|scene 0|L1.H0|its own direction",
        f"{_NET}|scene 16|L10.H2, L11.H5|what sets it apart",
        f"{_NET}|{UPLOAD}|L3.H1|a random direction|tokens=r3c4, r3c5, cls",
        "stickers-l8|scene 16|L5.H0|what sets it apart|tokens=r4c2",
        "stickers-l8|scene 7|embed, L5.MLP|its own direction",
        "timm/swin_tiny_patch4_window7_224|scene 17|L9.H3|its own direction",
    ],
    "Ranking": [
        "stickers-deit|background|R||",
        "stickers-dino|colour|share|L3.H1|",
        "stickers-deit|concept|without itself|L5.MLP|",
        "stickers-deit|own texts|R|L2.H1|a red thing; a blue thing",
        "stickers-dino|position|size||",
        "stickers-deit|texture|CompAttribute|embed|",
    ],
    "PlantedMaps": [
        "planted parts|A: parts of their own|16|0|each part its own|ridge|1|part 0",
        "planted parts|D: eight shared factors|8|8|each part its own|marginal|1|part 3",
        "planted parts|as the numbers say|6|2|one for all|shared|1|part 5",
        "planted parts|B: narrow parts|4|0|each part its own|procrustes|1|part 1",
        "planted parts|C: all is shared|16|16|one for all|ridge|1|part 2",
        "planted parts|B: narrow parts|4|0|each part its own|cosine|0|part 4",
    ],
}
