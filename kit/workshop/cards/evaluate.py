"""The measured table of a trained model: what it answers on unbiased scenes, with intervals."""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

import kit.world as world
from kit.measures import GroupBootstrap, bootstrap_gap, bootstrap_interval, confusions, hits
from kit.models.names import SHIPPED
from kit.workshop.cards.bars import clean_twin, training_of
from kit.workshop.cards.members import Clip, Member, Pixels, Probed, member
from kit.workshop.cards.places import add_places
from kit.workshop.cards.table import BOOTSTRAP_SEED, SLICES, Table, rounded
from kit.workshop.cards.words import add_words
from kit.workshop.training.objectives import relation_texts
from kit.world.values import CATEGORY

SEEDS = {"full": 71_001, "natural": 71_002, "clean": 71_003, "count": 71_004, "pair": 71_005, "bias": 71_006}
ATTRIBUTES = ("colour", "texture", "background", "position", "size", "category")


def evaluate(folder: Path, scenes: int = 2048, trained: bool = True) -> dict:
    """Every figure of a model's card.

    Args:
        folder: the shipped model.
        scenes: single-object scenes of each slice and group of artists; the others in proportion.
        trained: False measures random weights instead.

    Returns:
        "measured" (rows: what, artists, value, low, high, images, seed), "by_artist",
        "confusions" and "worst" concepts on clean scenes of seen artists.
    """
    model, table, found = member(folder, trained), Table(), {"by_artist": []}
    with tqdm(total=2 * (len(SLICES) + 4) + 1, unit="set") as bar:
        for artists in ("seen", "held_out"):
            for slice_ in SLICES:
                found |= _singles(model, table, slice_, artists, scenes, found["by_artist"])
                bar.update()
            for add, n in ((_counts, scenes // 2), (_pairs, scenes // 2), (_bias, scenes * 4)):
                add(model, table, artists, n)
                bar.update()
            add_words(model, table, artists, scenes // 2)
            bar.update()
        _beside_others(model, table, Path(folder), scenes)
        if model.scale > 1:  # the members for everything that looks at places
            add_places(Path(folder), trained, table, scenes // 2)
        bar.update()
    return {"measured": table.rows, **found}


def _singles(model: Member, table: Table, slice_: str, artists: str, n: int, by_artist: list) -> dict:
    """Concept on a slice; on the full one every other attribute too. Returns confusions of the clean one."""
    scenes, seed = world.draw(n, SEEDS[slice_], artists=artists, **SLICES[slice_]), SEEDS[slice_]
    features, concept = model.seen(scenes), scenes.codes["concept"]
    scores = model.scores(features, "concept")
    right = hits(scores, concept)
    table.add(f"concept, {slice_}", artists, right, seed)
    table.add(f"concept, {slice_}, top 5", artists, hits(scores, concept, top=5), seed)
    for code in scenes.codes["artist"].unique().tolist():
        mine = right[scenes.codes["artist"] == code].numpy()
        figures = rounded(bootstrap_interval(mine, BOOTSTRAP_SEED))
        artist = world.VALUES["artist"][code]
        by_artist.append({"artist": artist, "slice": slice_, **figures, "images": len(mine)})
    if slice_ == "full":
        _attributes(model, table, scenes, features, artists)
        recoloured = scenes.codes["colour"] > 0
        small = scenes.codes["size"] == world.VALUES["size"].index("small")
        table.add("concept, recoloured", artists, right[recoloured], seed)
        table.add("concept, small", artists, right[small], seed)
    return _mistakes(scores, concept) if (slice_, artists) == ("clean", "seen") else {}


def _mistakes(scores: Tensor, concept: Tensor) -> dict:
    """What is taken for what, and the concepts that are known least."""
    names = world.VALUES["concept"]
    right = pd.Series(hits(scores, concept).float().numpy())
    shares = right.groupby([names[c] for c in concept.tolist()]).mean().sort_values()
    worst = [{"concept": c, "accuracy": round(float(v), 3)} for c, v in shares.head(12).items()]
    mistakes = confusions(scores, concept, names, top=12).round({"share": 3}).to_dict("records")
    return {"confusions": mistakes, "worst": worst, "concepts_over_80": int((shares >= 0.8).sum())}


def _attributes(model: Member, table: Table, scenes: world.Scenes, features: Tensor, artists: str) -> None:
    """Colour (of recoloured objects, among the ten), texture (mean over its values), and the others."""
    for name in ATTRIBUTES:
        scores, code = model.scores(features, name), scenes.codes[name]
        if name == "colour":  # "natural" names nothing to see
            scores, code = scores[code > 0, 1:], code[code > 0] - 1
        groups = code.numpy() if name == "texture" else None
        table.add(name, artists, hits(scores, code), SEEDS["full"], groups)


def _counts(model: Member, table: Table, artists: str, n: int) -> None:
    scenes = world.draw(n, SEEDS["count"], kind="count", artists=artists)
    scores = model.scores(model.seen(scenes), "count")
    table.add("count", artists, hits(scores, scenes.codes["count"]), SEEDS["count"])


def _pairs(model: Member, table: Table, artists: str, n: int) -> None:
    """Two objects: is the true relation preferred to the swapped one, and are both concepts on top?"""
    scenes, seed = world.draw(n, SEEDS["pair"], kind="pair", artists=artists), SEEDS["pair"]
    features, codes = model.seen(scenes), scenes.codes
    if isinstance(model, Clip):
        _, texts = relation_texts(codes)
        four = torch.einsum("be,bne->bn", features, model.texts(texts).unflatten(0, (-1, 4)))  # [pair, text]
        true = torch.zeros(n, dtype=torch.int64)
        table.add("relation order", artists, hits(four[:, :2], true), seed)
        table.add("relation among four", artists, hits(four, true), seed)
    else:
        table.add("relation", artists, hits(model.scores(features, "relation"), codes["relation"]), seed)
    scores = model.scores(features, "concept")
    both = hits(scores, codes["concept"], 2) & hits(scores, codes["concept_2"], 2)
    table.add("both objects in the top two", artists, both, seed)


def _bias(model: Member, table: Table, artists: str, n: int) -> None:
    """Water against land animals by the best concept of each, on own and on conflicting backgrounds."""
    scenes, seed = world.draw(n, SEEDS["bias"], artists=artists), SEEDS["bias"]
    categories = [world.VALUES["category"].index(f"{place} animal") for place in ("water", "land")]
    animal = sum(scenes.codes["category"] == c for c in categories) > 0
    scenes = scenes[animal.nonzero()[:, 0]]
    scores = model.scores(model.seen(scenes), "concept")
    names = world.VALUES["category"]
    kinds = torch.tensor([names.index(CATEGORY[c]) for c in world.VALUES["concept"]])  # [concept]
    best = torch.stack([scores[:, kinds == c].amax(1) for c in categories], 1)  # [batch, water | land]
    lives = (scenes.codes["category"] == categories[1]).long()
    kind = hits(best, lives).double().numpy()
    concept = hits(scores, scenes.codes["concept"]).double().numpy()
    fit, where = scenes.labels["fit"].to_numpy(), "animals: {} on {} background"
    for what, right in (("water or land", kind), ("concept", concept)):
        for place in ("own", "conflicting", "neutral"):
            table.add(where.format(what, place), artists, right[fit == place], seed)
    own, conflicting = (kind[fit == place] for place in ("own", "conflicting"))
    gap = bootstrap_gap(own, conflicting, BOOTSTRAP_SEED)
    images = len(own) + len(conflicting)
    table.put("animals: own minus conflicting background", artists, gap, images, seed)
    groups = [f"{('water', 'land')[i]} animal, {f} background" for i, f in zip(lives, fit, strict=True)]
    worst, accuracy, gap = GroupBootstrap(groups, BOOTSTRAP_SEED).worst(kind)
    table.put("animals: worst group", artists, accuracy, len(kind), seed, group=worst)
    table.put("animals: average minus worst group", artists, gap, len(kind), seed)


def _beside_others(model: Member, table: Table, folder: Path, n: int) -> None:
    """A web member beside its clean twin; a probed one beside raw pixels and random weights."""
    slice_ = "full" if isinstance(model, Probed) else "clean"
    scenes, seed, what = world.draw(n, SEEDS[slice_], **SLICES[slice_]), SEEDS[slice_], f"concept, {slice_}"
    concept = scenes.codes["concept"]

    def right(other: Member) -> Tensor:
        return hits(other.scores(other.seen(scenes), "concept"), concept).double()

    if training_of(folder.name) == "web captions":
        twin = member(SHIPPED / clean_twin(folder.name))
        table.add(f"{what}: web minus clean twin", "seen", right(model) - right(twin), seed)
    if not isinstance(model, Probed):
        return
    mine, raw, fresh = right(model), right(Pixels()), right(member(folder, trained=False))
    table.add(f"{what}: raw pixels", "seen", raw, seed)
    table.add(f"{what}: random weights", "seen", fresh, seed)
    table.add(f"{what}: minus 3 x raw pixels", "seen", mine - 3 * raw, seed)
    table.add(f"{what}: minus random weights", "seen", mine - fresh, seed)
