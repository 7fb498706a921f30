"""The measured table of a trained model, from the folder that ships and through open_clip's own API."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

import kit.world as world
from kit.errors import KitError
from kit.measures import bootstrap_gap, bootstrap_interval, confusions, hits
from kit.models.training.objectives import relation_texts
from kit.world.values import CATEGORY

SEEDS = {"full": 71_001, "natural": 71_002, "clean": 71_003, "count": 71_004, "pair": 71_005, "bias": 71_006}
BOOTSTRAP_SEED = 7
SLICES = {  # arguments of `kit.world.draw`; all unbiased
    "full": {},
    "natural": {"colours": 0.0},
    "clean": {"colours": 0.0, "textures": 0.0, "sizes": ("medium", "large")},
}
BARS = {  # seen artists, held-out artist; None: no bar
    "concept, clean": (0.90, 0.55),
    "concept, natural": (0.85, 0.48),
    "concept, full": (0.72, 0.42),
    "colour": (0.97, None),
    "texture": (0.90, None),
    "background": (0.98, None),
    "position": (0.96, None),
    "size": (0.94, None),
    "count": (0.92, None),
    "animals: own minus conflicting background": (0.15, None),
    "relation order": (0.75, None),
}


class Shipped:
    """A model folder, loaded as open_clip's documentation says.

    Args:
        folder: with `open_clip_config.json`, weights and vocabulary.
        trained: False keeps random weights in place of the folder's: the control.
    """

    def __init__(self, folder: Path, trained: bool = True):
        import open_clip

        folder = Path(folder).absolute()  # open_clip takes a relative one from the working directory
        if not (folder / "open_clip_model.safetensors").exists():
            raise KitError(f"no model in {folder}; make one: python -m kit.models.training.train NAME.")
        where = f"local-dir:{folder}"
        clip, _, self.transform = open_clip.create_model_and_transforms(where, load_weights=trained)
        self.clip = clip.eval()
        self.tokenizer = open_clip.get_tokenizer(where, bpe_path=str(folder / "bpe.txt.gz"))
        visual = self.clip.visual
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in (visual.image_mean, visual.image_std))

    @torch.no_grad()
    def images(self, images: Tensor) -> Tensor:
        """Unit vectors of uint8 images of the model's own size, [batch, embed]."""
        found = [self.clip.encode_image((part / 255 - self.mean) / self.std) for part in images.split(64)]
        return F.normalize(torch.cat(found), dim=-1)

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Tensor:
        """Unit vectors of texts, [text, embed]."""
        return F.normalize(self.clip.encode_text(self.tokenizer(texts)), dim=-1)

    def scores(self, scenes: "world.Scenes", attribute: str) -> Tensor:
        """Cosines with the attribute's prompts, [batch, text]."""
        return self.images(scenes.images) @ self.texts(world.prompts(attribute)).T


@dataclass
class Table:
    """Rows of measured figures, one for each thing asked and group of artists."""

    rows: list[dict]

    def add(self, what: str, artists: str, values, seed: int, groups=None) -> None:
        """Add the mean of `values` [batch] with its interval."""
        interval = bootstrap_interval(values, BOOTSTRAP_SEED, groups=groups)
        self.put(what, artists, interval, len(values), seed)

    def put(self, what: str, artists: str, interval, images: int, seed: int) -> None:
        """Add a figure that has its interval."""
        bar = BARS.get(what, (None, None))[artists == "held_out"]
        figures = {k: round(v, 4) for k, v in interval._asdict().items()}
        self.rows.append(
            {"what": what, "artists": artists, **figures, "images": images, "seed": seed, "bar": bar}
        )


def evaluate(folder: Path, scenes: int = 2048, trained: bool = True) -> dict:
    """Every figure of a model's card.

    Args:
        folder: the shipped model.
        scenes: single-object scenes of each slice and group of artists; the others in proportion.
        trained: False measures random weights instead.

    Returns:
        "measured" (rows: what, artists, value, low, high, images, seed, bar), "by_artist" (clean and full),
        "confusions" and "worst" concepts on clean scenes of seen artists.
    """
    model, table, found = Shipped(folder, trained), Table([]), {"by_artist": []}
    with tqdm(total=2 * (len(SLICES) + 3), unit="set") as bar:
        for artists in ("seen", "held_out"):
            for slice_ in SLICES:
                found |= _singles(model, table, slice_, artists, scenes, found["by_artist"])
                bar.update()
            _counts(model, table, artists, scenes // 2)
            bar.update()
            _pairs(model, table, artists, scenes // 2)
            bar.update()
            _bias(model, table, artists, scenes * 4)
            bar.update()
    return {"measured": table.rows, **found}


def _singles(model: Shipped, table: Table, slice_: str, artists: str, n: int, by_artist: list) -> dict:
    """Concept on a slice; on the full one every other attribute too. Returns confusions of the clean one."""
    scenes = world.draw(n, SEEDS[slice_], artists=artists, **SLICES[slice_])
    images, concept = model.images(scenes.images), scenes.codes["concept"]
    scores = images @ model.texts(world.prompts("concept")).T  # [batch, concept]
    right = hits(scores, concept)
    table.add(f"concept, {slice_}", artists, right, SEEDS[slice_])
    table.add(f"concept, {slice_}, top 5", artists, hits(scores, concept, top=5), SEEDS[slice_])
    for code in scenes.codes["artist"].unique().tolist():
        mine = right[scenes.codes["artist"] == code].numpy()
        interval = bootstrap_interval(mine, BOOTSTRAP_SEED)
        name = world.VALUES["artist"][code]
        figures = {k: round(v, 4) for k, v in interval._asdict().items()}
        by_artist.append({"artist": name, "slice": slice_, **figures, "images": len(mine)})
    if slice_ == "full":
        _attributes(model, table, scenes, images, artists)
        recoloured = scenes.codes["colour"] > 0
        small = scenes.codes["size"] == world.VALUES["size"].index("small")
        table.add("concept, recoloured", artists, right[recoloured], SEEDS[slice_])
        table.add("concept, small", artists, right[small], SEEDS[slice_])
    if slice_ != "clean" or artists != "seen":
        return {}
    names = world.VALUES["concept"]
    shares = (
        pd.Series(right.float().numpy()).groupby([names[c] for c in concept.tolist()]).mean().sort_values()
    )
    worst = [{"concept": c, "accuracy": round(float(v), 3)} for c, v in shares.head(12).items()]
    mistakes = confusions(scores, concept, names, top=12).round({"share": 3}).to_dict("records")
    return {"confusions": mistakes, "worst": worst, "concepts_over_80": int((shares >= 0.8).sum())}


def _attributes(model: Shipped, table: Table, scenes: "world.Scenes", images: Tensor, artists: str) -> None:
    """Colour (of recoloured objects, among the ten), texture (mean over its values), and the others."""
    for name in ("colour", "texture", "background", "position", "size", "category"):
        texts = model.texts(world.prompts(name))
        code, rows = scenes.codes[name], torch.ones(len(images), dtype=torch.bool)
        if name == "colour":  # "natural" names nothing to see
            texts, rows, code = texts[1:], code > 0, code - 1
        right = hits(images[rows] @ texts.T, code[rows])
        groups = code.numpy() if name == "texture" else None
        table.add(name, artists, right, SEEDS["full"], groups)


def _counts(model: Shipped, table: Table, artists: str, n: int) -> None:
    scenes = world.draw(n, SEEDS["count"], kind="count", artists=artists)
    table.add("count", artists, hits(model.scores(scenes, "count"), scenes.codes["count"]), SEEDS["count"])


def _pairs(model: Shipped, table: Table, artists: str, n: int) -> None:
    """Two objects: is the true relation preferred to the swapped one, and are both concepts on top?"""
    scenes = world.draw(n, SEEDS["pair"], kind="pair", artists=artists)
    images = model.images(scenes.images)
    _, texts = relation_texts(scenes.codes)
    four = torch.einsum("be,bne->bn", images, model.texts(texts).unflatten(0, (-1, 4)))  # [pair, text]
    right = torch.zeros(n, dtype=torch.int64)
    table.add("relation order", artists, hits(four[:, :2], right), SEEDS["pair"])
    table.add("relation among four", artists, hits(four, right), SEEDS["pair"])
    scores = images @ model.texts(world.prompts("concept")).T
    both = hits(scores, scenes.codes["concept"], 2) & hits(scores, scenes.codes["concept_2"], 2)
    table.add("both objects in the top two", artists, both, SEEDS["pair"])


def _bias(model: Shipped, table: Table, artists: str, n: int) -> None:
    """Water against land animals by the best prompt of each, on own and on conflicting backgrounds."""
    scenes = world.draw(n, SEEDS["bias"], artists=artists)
    categories = [world.VALUES["category"].index(f"{place} animal") for place in ("water", "land")]
    animal = sum(scenes.codes["category"] == c for c in categories) > 0
    scenes = scenes[animal.nonzero()[:, 0]]
    scores = model.scores(scenes, "concept")
    names = world.VALUES["category"]
    kinds = torch.tensor([names.index(CATEGORY[c]) for c in world.VALUES["concept"]])  # [concept]
    best = torch.stack([scores[:, kinds == c].amax(1) for c in categories], 1)  # [batch, water | land]
    group = hits(best, (scenes.codes["category"] == categories[1]).long()).double().numpy()
    concept = hits(scores, scenes.codes["concept"]).double().numpy()
    fit, where = scenes.labels["fit"].to_numpy(), "animals: {} on {} background"
    for what, right in (("water or land", group), ("concept", concept)):
        for place in ("own", "conflicting", "neutral"):
            table.add(where.format(what, place), artists, right[fit == place], SEEDS["bias"])
    gap = bootstrap_gap(group[fit == "own"], group[fit == "conflicting"], BOOTSTRAP_SEED)
    images = int((fit == "own").sum() + (fit == "conflicting").sum())
    table.put("animals: own minus conflicting background", artists, gap, images, SEEDS["bias"])
