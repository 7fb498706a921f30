"""Section 3 of the document on real weights: token maps of class directions held against masks."""

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

import kit
from kit.measures import average_precision, bootstrap_interval, mass_inside, pointing
from tests.bench.real_data import (
    MIN_AREA,
    NAMES,
    Pairs,
    head_directions,
    head_names,
    mask_pairs,
    open_clip_layout,
    text_directions,
    timm_layout,
)

MEASURES = {"average precision": average_precision, "pointing": pointing, "mass inside": mass_inside}
RANDOM_SEEDS = (0, 1, 2, 3, 4)
REAL, RANDOM = "the tower, the class's direction", "a tower with random weights"
ATTENTION = "the tower, attention of the last layer alone"


INTRODUCTION = f"""## 3. Which tokens the class directions use

A head's score for a direction is a sum over the tokens whose values it read. Summed over all heads, and
without the class token, that is a map over the 14 × 14 patches: where in the photograph the heads found what
speaks for the class. coco128 says of every pixel which object it shows, so the map can be held against a
mask. The direction of a COCO class is the mean over ImageNet names that are the same thing or a kind of it
(listed at the end; chosen before any map was seen), each minus the mean of all classes. A photograph counts
for a class that covers at least {MIN_AREA:.0%} of what the tower sees.

Three measures, each of which is the object's share of the picture, on average, for a map that knows
nothing: *average precision* over pixels taken from the highest value down; *pointing*, the object's share
of the one highest patch; *mass inside*, the object's share of all positive values. They are averaged over
the classes of a photograph first; intervals are over photographs. Controls: random weights are
{len(RANDOM_SEEDS)} towers of the same shape (seeds 0 to {RANDOM_SEEDS[-1]}), averaged, with the same
directions; directions of absent classes and masks of other photographs are all there are, averaged. The
last layer's attention, mean over heads, asks no direction. The share of other photographs' masks is
that of the average mask, so that row has its own chance.
"""


@dataclass
class Maps:
    """What one tower's heads say of the pairs.

    Attributes:
        pairs: photographs, classes and masks.
        own: number of the pair's direction, int64 [pair].
        heads: score of each head from each token, class token first, [photo, head, token, text].
        random: the same of each random tower for the own direction, patches alone, [seed, pair, head, token].
        attention: how much the class token of the last layer attends to each patch, [photo, token].
    """

    pairs: Pairs
    own: Tensor
    heads: Tensor
    random: Tensor
    attention: Tensor

    def of(self, text: Tensor) -> Tensor:
        """Maps of each pair for the directions of these numbers, [pair, head, token], class token first."""
        return self.heads[self.pairs.photo, :, :, text]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Cells as a markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def by_photo(values: Tensor, photo: Tensor) -> Tensor:
    """Mean over the pairs of each photograph that has any, [photo]."""
    total = torch.zeros(int(photo.max()) + 1, dtype=torch.float64).index_add(0, photo, values.double())
    count = torch.bincount(photo, minlength=len(total))
    return total[count > 0] / count[count > 0]


def interval(values: Tensor) -> str:
    """The mean over photographs with its interval."""
    return str(bootstrap_interval(values, seed=0))


def token_maps(model, pixels: Tensor, vectors: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Score of each head from each token for each direction, [photo, head, token, text], and the last
    layer's attention of the class token to patches, mean over heads, [photo, token]."""
    found, attention = [], []
    for start in tqdm(range(0, len(pixels), 16), desc=what, unit="batch"):
        run = kit.run(model, pixels[start : start + 16], tokens=True)
        found.append(run.maps(vectors))
        attention.append(run.pattern_shares(model.layers - 1)[:, 0, :, run.prefix :].mean(1))
    return torch.cat(found), torch.cat(attention)


def collect_maps(make, directions_of, pairs: Pairs) -> Maps:
    """Maps of a tower and of random ones of its shape, for the classes that have a direction."""
    model = make()
    directions = directions_of(model)
    kept = [i for i, name in enumerate(pairs.name) if name in directions.names]
    used = sorted({pairs.name[i] for i in kept})
    vectors = directions.vectors[[directions.names.index(name) for name in used]]
    some = Pairs(
        pairs.paths, pairs.photo[kept], [pairs.name[i] for i in kept], pairs.inside[kept], pairs.present
    )
    own = torch.tensor([used.index(name) for name in some.name])
    pixels = model.preprocess(pairs.paths)
    heads, attention = token_maps(model, pixels, vectors, "maps")
    random = []
    for seed in RANDOM_SEEDS:
        maps, _ = token_maps(make("random", seed), pixels, vectors, f"random tower {seed}")
        random.append(maps[some.photo, :, model.prefix_tokens :, own])
    return Maps(some, own, heads, torch.stack(random), attention)


def other_directions(maps: Maps, measure) -> Tensor:
    """The measure under the directions of classes that are not in the photograph, averaged, [pair]."""
    names = [maps.pairs.name[int((maps.own == t).nonzero()[0])] for t in range(maps.heads.shape[-1])]
    values = []
    for text in range(len(names)):
        whole = maps.of(torch.full_like(maps.own, text))[:, :, 1:].sum(1)  # [pair, token]
        values.append(measure(whole, maps.pairs.inside))
    absent = torch.tensor([[n not in maps.pairs.present[p] for n in names] for p in maps.pairs.photo])
    values = torch.stack(values, 1)  # [pair, text]
    return (values * absent).sum(1) / absent.sum(1)


def other_masks(whole: Tensor, pairs: Pairs, measure) -> Tensor:
    """The measure against the masks of all other photographs, averaged, [pair]."""
    found = []
    for values, photo in zip(whole, pairs.photo):
        inside = pairs.inside[pairs.photo != photo]
        found.append(measure(values.expand(len(inside), -1), inside).mean())
    return torch.stack(found)


def centre_blob() -> Tensor:
    """A Gaussian at the middle of the picture, a quarter of its side wide, [token]."""
    at = (torch.arange(14) - 6.5) / (14 / 4)
    one = torch.exp(-(at**2) / 2)
    return torch.outer(one, one).flatten()


def conditions(maps: Maps, name: str) -> dict[str, Tensor]:
    """One measure under every condition, by photograph."""
    measure, pairs = MEASURES[name], maps.pairs
    whole = maps.of(maps.own)[:, :, 1:].sum(1)  # [pair, token]
    blob = centre_blob().expand_as(whole)
    random = torch.stack([measure(one.sum(1), pairs.inside) for one in maps.random]).mean(0)
    found = {
        REAL: measure(whole, pairs.inside),
        "the tower, directions of classes that are not there": other_directions(maps, measure),
        RANDOM: random,
        "the tower, masks of the other photographs": other_masks(whole, pairs, measure),
        ATTENTION: measure(maps.attention[pairs.photo], pairs.inside),
        "a blob in the middle": measure(blob, pairs.inside),
        "the object's share of the picture": pairs.inside.mean(1),
    }
    return {condition: by_photo(values, pairs.photo) for condition, values in found.items()}


def main_tables(maps: Maps) -> tuple[str, str]:
    """Every condition with every measure, and how far the tower is ahead of it; and that in short."""
    found = {name: conditions(maps, name) for name in MEASURES}
    names = list(found["pointing"])
    rows = [[n, *(interval(found[m][n]) for m in MEASURES)] for n in names]
    text = table(["map", *MEASURES], rows) + "\nPaired, the first row minus each other one:\n\n"
    gaps = [[n, *(interval(found[m][REAL] - found[m][n]) for m in MEASURES)] for n in names[1:]]
    text += table(["the tower is ahead of", *MEASURES], gaps)
    return text, verdict(found)


def verdict(found: dict[str, dict[str, Tensor]]) -> str:
    """Whether the tower's maps lie on the objects more than those of random weights, in words."""
    precision = found["average precision"]
    text = (
        f"average precision is {interval(precision[REAL])}, with random weights {interval(precision[RANDOM])}"
    )
    text += f", from the last layer's attention alone {interval(precision[ATTENTION])}. "
    gaps = {name: bootstrap_interval(one[REAL] - one[RANDOM], seed=0) for name, one in found.items()}
    ahead = [name for name, gap in gaps.items() if gap.low > 0]
    text += f"The tower is ahead of random weights in {len(ahead)} of {len(gaps)} measures"
    lost = ", ".join(name for name in gaps if name not in ahead)
    return text + (f", not in {lost}." if lost else ".")


def layer_table(maps: Maps) -> str:
    """What the heads of each layer add, from where, and how well their map lies on the object."""
    own, pairs = maps.of(maps.own), maps.pairs
    layers = own.unflatten(1, (-1, 3)).sum(2)  # [pair, layer, token]
    random = maps.random.unflatten(2, (-1, 3)).sum(3)  # [seed, pair, layer, token]
    rows = []
    for layer in range(layers.shape[1]):
        one = layers[:, layer]
        precision = average_precision(one[:, 1:], pairs.inside)
        chance = torch.stack([average_precision(r[:, layer], pairs.inside) for r in random]).mean(0)
        figures = (one.sum(1), one[:, 1:].sum(1), precision, chance)
        cells = [by_photo(f, pairs.photo) for f in figures]
        first = [f"{cell.mean():+.4f}" for cell in cells[:2]]
        rows.append([f"L{layer}", *first, interval(cells[2]), interval(cells[3])])
    head = ["layer", "score of its heads", "from patches", "average precision", "the same, random weights"]
    return table(head, rows)


def best_heads(maps: Maps, count: int = 3) -> str:
    """The heads whose maps lie best on objects of every second photograph, measured on the others."""
    own, pairs = maps.of(maps.own)[:, :, 1:], maps.pairs
    each = torch.stack([average_precision(own[:, h], pairs.inside) for h in range(own.shape[1])])
    chosen, rest = pairs.photo % 2 == 0, pairs.photo % 2 == 1
    heads = each[:, chosen].mean(1).topk(count).indices.tolist()
    names = ", ".join(f"L{h // 3}.H{h % 3}" for h in heads)
    few = by_photo(average_precision(own[rest][:, heads].sum(1), pairs.inside[rest]), pairs.photo[rest])
    whole = by_photo(average_precision(own[rest].sum(1), pairs.inside[rest]), pairs.photo[rest])
    return (
        f"The {count} heads with the highest average precision on every second photograph are {names}. On "
        f"the {len(few)} photographs that did not choose them, the map of these heads has {interval(few)}, "
        f"that of all heads {interval(whole)}; paired difference {interval(few - whole)}.\n"
    )


def class_table(maps: Maps) -> str:
    """Each class: its names, how many photographs, area, average precision beside random weights."""
    pairs = maps.pairs
    real = average_precision(maps.of(maps.own)[:, :, 1:].sum(1), pairs.inside)
    random = torch.stack([average_precision(one.sum(1), pairs.inside) for one in maps.random]).mean(0)
    rows = []
    for name in sorted(set(pairs.name)):
        mine = torch.tensor([n == name for n in pairs.name])
        words = [f"**{n}**" if n in head_names() else n for n in NAMES[name]]
        figures = (pairs.inside.mean(1)[mine], real[mine], random[mine])
        cells = [f"{float(f.mean()):.2f}" for f in figures]
        rows.append([name, ", ".join(words), str(int(mine.sum())), *cells])
    return table(["COCO class", "names", "photographs", "share", "average precision", "random weights"], rows)


def section() -> tuple[str, str]:
    """What the third section says in short, and the section."""
    pairs = mask_pairs()
    head = collect_maps(timm_layout, head_directions, pairs)
    text = collect_maps(open_clip_layout, text_directions, pairs)
    sizes = [
        f"{len(m.own)} pairs of a photograph and a class, {len(set(m.pairs.photo.tolist()))} photographs, "
        f"{m.heads.shape[-1]} classes"
        for m in (head, text)
    ]
    (tables, said), (tables_2, said_2) = main_tables(head), main_tables(text)
    short = f"Maps against masks, directions of the classifier: {said} Directions of texts: {said_2}"
    page = f"""{INTRODUCTION}
### 3.1 Directions of the classifier's own classes

{sizes[0]}; {said}

{tables}
By layer, own direction. The first two columns are parts of the cosine, means over photographs; what does
not come from patches comes from the class token.

{layer_table(head)}
{best_heads(head)}
### 3.2 Directions of a real CLIP's text space

The bridged tower, with the text directions of ImageNet's names. {sizes[1]}; {said_2}

{tables_2}
{best_heads(text)}
Class by class, without intervals: most have few photographs. Names in bold are outputs of the classifier,
from which the bridge was fitted; the others it has never seen.

{class_table(text)}"""
    return short, page
