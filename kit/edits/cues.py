"""Which heads carry a cue: chosen by their texts, by the cue's own effect, or at random beside these."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.edits.answers import Answers
from kit.errors import KitError, nearest
from kit.measures.groups import GroupBootstrap

LEVEL = 0.05  # chance that any part is called a carrier of the cue where none is
LIKE = 2.0  # sizes of two parts that are called similar: at most so many times apart
RANDOM, LARGE = "random heads", "random heads, made as large"
NEAREST = 8  # parts among which a part's stand-in is drawn


def cue_effects(differences: Tensor, y, place, index: pd.DataFrame) -> pd.DataFrame:
    """For each part, how much of the difference between two classes it takes from the place.

    The effect of the cue is the difference between images of the *same* class whose place is that of class 1
    and that of class 0, averaged over both classes; the effect of the class is the difference between images
    at the *same* place, averaged over both places. A cue that a part carries beside the class is worth
    removing only as far as it outweighs it: `score` is the one minus the other.

    Args:
        differences: score for class 1 minus score for class 0, [image, part] (`Answers.differences`).
        y: class of each image, 0 or 1.
        place: of each image, 0 or 1; place 1 is what usually goes with class 1.
        index: of the parts: name, kind, layer, head.

    Returns:
        One row for each part: `part`, `kind`, `layer`, `head`, `cue`, `error` (its standard error), `class`,
        `score`, `significant`: whether the cue is above zero with all parts asked at once (5 %, Bonferroni).

    Raises:
        KitError: lengths that do not fit, or one of the four groups has fewer than two images.

    Source:
        Works that rank heads by their effect on groups, instead of by a person's reading of texts
        (the criticism of Gandelsman et al. 2023, arXiv 2310.05916).

    Example:
        >>> index = pd.DataFrame({"name": ["L0.H0"], "kind": ["head"], "layer": [0], "head": [0]})
        >>> y, place = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 0, 0, 1, 1])
        >>> float(cue_effects(torch.tensor(place)[:, None].float(), y, place, index)["cue"].iloc[0])
        1.0
    """
    y, place = np.asarray(y), np.asarray(place)
    if not len(differences) == len(y) == len(place) or differences.shape[1] != len(index):
        raise KitError(
            f"differences {list(differences.shape)} of {len(index)} parts, {len(y)} classes and "
            f"{len(place)} places do not fit; give one class and one place for each image."
        )
    means, errors = {}, 0.0
    for c in (0, 1):
        for p in (0, 1):
            some = differences[torch.tensor((y == c) & (place == p))].double()
            if len(some) < 2:
                raise KitError(
                    f"class {c} at place {p} has {len(some)} images; an effect wants two or more of each."
                )
            means[c, p] = some.mean(0)
            errors = errors + some.var(0) / len(some) / 4
    cue = (means[0, 1] - means[0, 0] + means[1, 1] - means[1, 0]) / 2
    own = (means[1, 0] - means[0, 0] + means[1, 1] - means[0, 1]) / 2
    bound = torch.special.ndtri(torch.tensor(1 - LEVEL / len(index), dtype=torch.float64))
    found = index[["name", "kind", "layer", "head"]].reset_index(drop=True).rename(columns={"name": "part"})
    columns = {"cue": cue, "error": errors.sqrt(), "class": own, "score": cue - own}
    found = found.assign(**{name: value.numpy() for name, value in columns.items()})
    return found.assign(significant=(cue > bound * errors.sqrt()).numpy())


def ranked(effects: pd.DataFrame, kind: str = "head") -> list[str]:
    """Parts that carry the cue and more of it than of the class, the strongest first.

    Args:
        effects: from `cue_effects`.
        kind: of the parts.
    """
    some = effects[(effects["kind"] == kind) & effects["significant"] & (effects["score"] > 0)]
    return list(some.sort_values("score", ascending=False, kind="stable")["part"])


def chosen_by_effect(tuning: Answers, groups: GroupBootstrap) -> list[str]:
    """The heads to switch off: the first of `ranked`, as many as the worst group of these images asks for.

    Args:
        tuning: two classes asked on images with the labels `y` and `place`; not those that are judged.
        groups: of the same images, with which `fewest` counts the heads.

    Returns:
        Their names, the strongest first; none where no head carries the cue beyond chance.
    """
    labels = tuning.labels
    order = ranked(cue_effects(tuning.differences(), labels["y"], labels["place"], tuning.index))
    return order[: groups.fewest(tuning.steps(order))] if order else []


def shuffled_effects(tuning: Answers, shuffles: int, seed: int) -> list[pd.DataFrame]:
    """`cue_effects` when the places mean nothing: a permutation test, shuffled among images of a class.

    Args:
        tuning: as of `chosen_by_effect`.
        shuffles: how many.
        seed: of the shuffles.
    """
    labels, differences, rng = tuning.labels, tuning.differences(), np.random.default_rng(seed)
    places = (labels.groupby("y")["place"].transform(rng.permutation) for _ in range(shuffles))
    return [cue_effects(differences, labels["y"], place, tuning.index) for place in places]


def by_reading(table: pd.DataFrame, tag: str, first: int = 5) -> pd.DataFrame:
    """The parts of which most of the first texts tell one property, as a reader of the lists would choose.

    Args:
        table: of `kit.textspan`, made with a tagged bank and at least `first` texts.
        tag: the property, such as "background".
        first: texts of each part that are read.

    Returns:
        One row for each such part: `part`, `texts` (how many of the first tell it), `share` of the variance
        that these explain; most texts first, then the larger share.

    Raises:
        KitError: a bank without tags, a tag that it does not have, too few texts.

    Example:
        >>> table = pd.DataFrame({"part": ["L0.H0", "L0.H0", "L0.H1", "L0.H1"], "rank": [1, 2, 1, 2],
        ...                       "share": [0.5] * 4, "property": ["size"] + ["background"] * 3})
        >>> by_reading(table, "background", first=2)["part"].tolist()
        ['L0.H1']
    """
    if "property" not in table:
        raise KitError("the texts have no tags to count; use a tagged bank, such as Bank.stickers(model).")
    known = sorted(set(table["property"]))
    if tag not in known:
        raise KitError(f'no text tells "{tag}"; these texts tell {", ".join(known)}.{nearest(tag, known)}')
    if int(table["rank"].max()) < first:
        raise KitError(
            f"{first} texts of each part are read, but the table has {table['rank'].max()}; ask "
            f"kit.textspan for texts={first}."
        )
    told = table[(table["rank"] <= first) & (table["property"] == tag)].groupby("part")["share"]
    found = pd.DataFrame({"texts": told.size(), "share": told.sum()}).reset_index()
    found = found[found["texts"] > first / 2].sort_values(["texts", "share"], ascending=False, kind="stable")
    return found.reset_index(drop=True)


def matched_draws(
    index: pd.DataFrame, sizes, chosen: list[str], draws: int, seed: int, near: int = NEAREST
) -> tuple[np.ndarray, np.ndarray]:
    """Random sets of other heads, each like the chosen ones in number, layer and size.

    For each chosen head one is drawn among the `near` that are most like it: first those of its own layer
    whose size is at most a factor 2 away, then those nearest in size wherever they are. No chosen head is
    drawn, and none twice in a set.

    Args:
        index: of the parts.
        sizes: of what each part writes about its mean, [part] (`Answers.sizes`).
        chosen: names of the chosen heads.
        draws: how many sets.
        seed: of the drawing.
        near: how many heads are like one.

    Returns:
        Rows of the index, int [draw, head], and how many times larger the chosen head is than the one in its
        place, [draw, head]: `Answers.after` takes that as `stretch`, to make sizes equal too. A head that
        writes nothing cannot be made as large; its factor is 1.

    Raises:
        KitError: nothing chosen, a part that is no head, more heads chosen than are left to draw from.
    """
    names, sizes = list(index["name"]), np.asarray(sizes, dtype=np.float64)
    heads = [n for n, kind in enumerate(index["kind"]) if kind == "head"]
    if unknown := [part for part in chosen if part not in names or names.index(part) not in heads]:
        raise KitError(f'"{unknown[0]}" is no head of these parts; name heads, such as "{names[heads[0]]}".')
    rows = [names.index(part) for part in chosen]
    pool = [n for n in heads if n not in rows]
    if not 0 < len(rows) <= len(pool):
        raise KitError(
            f"{len(rows)} heads are chosen and {len(pool)} are left to draw from; choose at least one, and "
            "at most half of all."
        )
    like = [_like(index, sizes, row, pool)[: max(near, len(rows))] for row in rows]
    rng, found = np.random.default_rng(seed), np.empty((draws, len(rows)), dtype=np.int64)
    for draw in found:
        taken: list[int] = []
        for place in rng.permutation(len(rows)):
            free = [n for n in like[place] if n not in taken]
            draw[place] = rng.choice(free)
            taken.append(draw[place])
    nothing = sizes[found] == 0  # times whatever
    return found, np.where(nothing, 1.0, sizes[rows][None] / np.where(nothing, 1.0, sizes[found]))


def matched_answers(
    answers: Answers, chosen: list[str], draws: int, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Whether images are answered right with random heads off, each set like the chosen one.

    Args:
        answers: whose heads are switched off.
        chosen: names of the chosen heads.
        draws, seed: as of `matched_draws`.

    Returns:
        Rows of the index that each set holds, int [draw, head]; and `RANDOM` (as they are) and `LARGE` (what
        is taken away is made as large as that of the chosen heads) -> bool [draw, image].

    Raises:
        KitError: see `matched_draws`.
    """
    found, stretch = matched_draws(answers.index, answers.sizes, chosen, draws, seed)
    plain = np.stack([answers.right(list(draw)) for draw in found])
    large = np.stack([answers.right(list(draw), list(by)) for draw, by in zip(found, stretch)])
    return found, {RANDOM: plain, LARGE: large}


def _like(index: pd.DataFrame, sizes: np.ndarray, row: int, pool: list[int]) -> list[int]:
    """The heads of a pool, those most like one head first."""
    layers = index["layer"].tolist()
    away = {n: abs(np.log(max(sizes[n], 1e-30) / max(sizes[row], 1e-30))) for n in pool}
    here = [n for n in pool if layers[n] == layers[row] and away[n] <= np.log(LIKE)]
    rest = [n for n in pool if n not in here]
    return [*sorted(here, key=away.get), *sorted(rest, key=away.get)]
