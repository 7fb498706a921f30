"""Notebook 13 on real data: Waterbirds with heads switched off, by the paper's lists and chosen by effect."""

from kit.data import WATERBIRDS_SIZES
from kit.edits import (
    Answers,
    Means,
    ask_classes,
    chosen_by_effect,
    cue_effects,
    matched_answers,
    ranked,
    shuffled_effects,
    waterbirds_heads,
)
from kit.errors import KitError
from kit.figures import Figure
from kit.measures import GroupBootstrap
from kit.parts import select
from kit.sweep.settings import rows
from kit.sweep.shown import CHANGE, bars, percent, table
from kit.sweep.work import Work

SHUFFLES = 100
WORST = "worst group"
ENDS = ("accuracy", "low", "high")


def chosen_heads(work: Work, tuning: Answers) -> tuple[dict[str, list[str]], dict]:
    """Sets of heads that are switched off: name -> parts; and what the automatic choice was made of.

    Heads are ranked on validation images, and as many taken as the worst group of these asks for.
    """
    labels, seed = tuning.labels, work.settings.seed
    effects = cue_effects(tuning.differences(), labels["y"], labels["place"], tuning.index)
    chosen = chosen_by_effect(tuning, GroupBootstrap(labels["group"], seed))
    shuffled = sum(bool(ranked(table)) for table in shuffled_effects(tuning, SHUFFLES, seed))
    top = effects[effects["kind"] == "head"].nlargest(10, "score").set_index("part")
    how = {
        "images": len(tuning),
        "candidates": ranked(effects),
        "shuffles": SHUFFLES,
        "shuffles with a head": shuffled,
        "top": rows(top[["cue", "error", "class", "score", "significant"]], "part"),
    }
    return ({"chosen by effect": chosen} if chosen else {}) | _published(work, tuning), how


def _published(work: Work, tuning: Answers) -> dict[str, list[str]]:
    """The paper's lists, where it has some of this architecture."""
    try:
        heads = list(waterbirds_heads(work.model.name)["part"])
        select(tuning.index, ", ".join(heads))
    except KitError:  # the paper has none, or the tower is not of the paper's depth
        return {}
    return {"published lists": heads}


def compared(answers: Answers, groups: GroupBootstrap, heads: list[str], work: Work) -> dict:
    """A set of heads beside random ones of the same layers and sizes.

    Returns:
        `worst`: worst group of each random set, as it is and made as large as the chosen one; `over`: worst
        group with the heads off minus the 95 % quantile of these, with its interval; `why not`, where none
        can be drawn.
    """
    settings = work.settings
    try:
        _, kinds = matched_answers(answers, heads, settings.draws, settings.seed)
    except KitError as error:
        return {"why not": str(error)}
    after = answers.right(", ".join(heads))
    worst = {kind: groups.worsts(some).round(6).tolist() for kind, some in kinds.items()}
    over = {k: _interval(groups.worst_over(after, some)) for k, some in kinds.items()}
    return {"worst": worst, "over": over}


def _interval(found) -> dict[str, float]:
    return {key: round(value, 6) for key, value in found._asdict().items()}


def mixes(work: Work, heads: list[str]) -> dict[str, str]:
    """The three edits of the released script apart, then together: name -> selector."""
    layers, last = work.model.layers, work.settings.last
    found = {"heads": ", ".join(heads), "all MLPs": "L*.MLP"}
    if layers > last:
        found[f"attention of all layers but the last {last}"] = f"L0-{layers - last - 1}.H*"
    return found | {"all of these, as released": ", ".join(found.values())}


def run(work: Work) -> dict:
    """Table 3: each group before and after each edit, both averages, the worst group, random heads.

    Means are those of ImageNet's validation set, as the paper's author says of the paper's, and of
    Waterbirds' validation split where ImageNet was not given; the test images' own stand beside them.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, table 3; lists of the released code. Differs in telling
        three edits apart that the script makes at once, and in never tuning on test images.
    """
    val, test = work.store("waterbirds val"), work.store("waterbirds test")
    named = "imagenet" if "imagenet" in work.sets else "waterbirds val"
    means = Means.of(work.store(named))
    tuning = ask_classes(work.model, val, work.birds, val.name, means)
    answers = ask_classes(work.model, test, work.birds, test.name, means)
    groups = GroupBootstrap(answers.labels["group"], work.settings.seed, WATERBIRDS_SIZES["train"])
    sets, how = chosen_heads(work, tuning)
    before, found = answers.right(), {}
    for name, heads in sets.items():
        edited = {edit: answers.right(selector) for edit, selector in mixes(work, heads).items()}
        found[name] = {
            "heads": heads,
            "edits": {edit: rows(groups.table(after, before)) for edit, after in edited.items()},
            "random": compared(answers, groups, heads, work),
            "whose means": _whose(answers, groups, heads),
        }
    return {
        "images": len(answers),
        "classes": list(work.birds),
        "means": means.name,
        "before": rows(groups.table(before)),
        "choice": how,
        "sets": found,
    }


def _whose(answers: Answers, groups: GroupBootstrap, heads: list[str]) -> list[dict]:
    """The worst group after the edit, with means of the reference set and of the very images."""
    found = []
    for each in (answers, answers.with_own_means()):
        row = groups.table(each.right(", ".join(heads))).loc[WORST]
        found.append({"means": each.means_id} | {k: round(float(row[k]), 6) for k in ENDS})
    return found


def show(result: dict) -> list[Figure]:
    """Groups before any edit, the choice of heads, and each set of heads with its edits."""
    before, choice = result["before"], result["choice"]
    ours = f"{result['images']:,} images, {' and '.join(result['classes'])} by the 80 templates; means over "
    says = (
        "Effects on the cosine with waterbird minus that with landbird. Chosen by effect on "
        f"{choice['images']:,} validation images: {len(choice['candidates'])} heads carry the place beyond "
        "chance and more of it than of the class; of these, the first ones that help the worst group there. "
        "With places dealt anew within each class some head is found in "
        f"{choice['shuffles with a head']} of {choice['shuffles']} shuffles."
    )
    if "chosen by effect" not in result["sets"]:
        says += " No head was chosen by its effect: none passes, or none helps."
    columns = {"head": "part", "place": "cue", "± one standard error": "error", "class": "class"}
    top = [row | {"sure": "yes" if row["significant"] else "no"} for row in choice["top"]]
    found = [
        table(before, {"group": "name", "images": "images", "accuracy, %": ENDS}, "Nothing replaced",
              f"{ours}{result['means']}."),
        table(top, columns | {"place beyond chance": "sure"},
              "The ten heads in which the place most outweighs the class", says),
    ]  # fmt: skip
    return found + [figure for name, one in result["sets"].items() for figure in _edits(name, one, before)]


def _edits(name: str, one: dict, before: list[dict]) -> tuple[Figure, ...]:
    """One set of heads, and the edits made with it."""
    worst = {
        edit: next(row for row in own if row["name"] == WORST)
        for edit, own in ({"nothing replaced": before} | one["edits"]).items()
    }
    random, levels = one["random"], {}
    says = f"No random sets: {random.get('why not')}"
    if "worst" in random:
        drawn = sorted(random["worst"]["random heads"])
        bound = 100 * drawn[int(0.95 * (len(drawn) - 1))]
        levels = {f"95 % of {len(drawn)} random sets of heads like these end below": bound}
        over = "; ".join(f"{kind} {percent(row, sign=True)}" for kind, row in random["over"].items())
        says = f"With the heads off minus the 95 % quantile of random sets, points: {over}."
    means = "; ".join(f"{row['means']}: {percent(row, ENDS)}" for row in one["whose means"])
    says += f" With the heads off, by whose means stand in for them, %: {means}."
    title = f"{name.capitalize()}: {', '.join(one['heads'])}"
    columns = {"replaced": "edit", "group": "name", "accuracy, %": ENDS, "change, points": CHANGE}
    each = [row | {"edit": edit} for edit, own in one["edits"].items() for row in own]
    return (
        bars(worst, "accuracy of the worst group, %", ENDS, levels=levels, title=title, says=says),
        table(each, columns, "Every group after each edit"),
    )
