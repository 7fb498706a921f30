"""Roles of a shipped model's parts: which attribute explains what each of them writes, read from its file."""

import json

import pandas as pd

from kit.errors import KitError
from kit.models import load
from kit.models.model import Model
from kit.models.names import SHIPPED

FORMAT = "loupe-roles-1"
ROLES_FILE = "roles.json"
FIGURES = ["share", "low", "high", "null", "bound"]


def roles(model: Model, strongest: bool = False) -> pd.DataFrame:
    """How much of the variance of each part each attribute of the scenes explains.

    Measured once on scenes of their own (`python -m kit.workshop.cards.roles NAME`, which says on which) and
    shipped beside the weights, so that reading it costs nothing. What a part writes is divided by the
    length of the whole representation, as in scores. An attribute that refines another is measured
    within it: `concept` is what the concept adds to the category.

    Args:
        model: a shipped model, or its name.
        strongest: only the role of each part: of the attributes above chance the one that explains most of
            what it writes. A part that no attribute explains beyond chance has none, and is left out.

    Returns:
        One row for each part and attribute, or for each part that has a role: `part`, `layer`, `head`,
        `kind` as in `Parts.index` (constants are left out: they have nothing to explain); `attribute`;
        `share` of the variance, cross-validated, 0-1 (see `kit.measures.variance_share`), with `low` and
        `high` of its 95 % interval; `null`, which a share of chance stays below in 95 % of shuffles;
        `bound`, below which in 95 % of shuffles all shares of the table stay together; `significant`: share
        above bound.

    Raises:
        KitError: a model without roles, or roles that were measured on other weights.

    Example:
        >>> import kit
        >>> table = kit.roles("stickers-l8")
        >>> heads = table[(table.kind == "head") & (table.attribute == "background")]
        >>> bool(heads.significant.any())
        True
        >>> kit.roles("stickers-l8", strongest=True).set_index("part").loc["L5.H0", "attribute"]
        'background'
    """
    model = load(model) if isinstance(model, str) else model
    path = SHIPPED / model.name / ROLES_FILE
    if model.pretrained is not None or not path.is_file():
        raise KitError(
            f'"{model.label}" has no roles: they are measured on scenes of the stickers world and come with '
            "shipped models (python -m kit.workshop.cards.roles NAME makes them); for another model, hold "
            "kit.decompose(...).values against labels of your own with kit.measures.variance_share."
        )
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["weights_hash"] != model.weights_hash:
        raise KitError(
            f'these roles are of "{model.name}" with weights {found["weights_hash"][:8]}, but the model has '
            f"weights {model.weights_hash[:8]}; measure them again: "
            f"python -m kit.workshop.cards.roles {model.name}."
        )
    rows = table(found)
    if not strongest:
        return rows
    rows = rows[rows["significant"]]
    return rows.loc[rows.groupby("part")["share"].idxmax()]


def strongest_roles(model: Model, parts: list[str]) -> list[str]:
    """The attribute that explains most of each part; "" where none is above chance or nothing is known.

    Args:
        model: any; a shipped one has roles.
        parts: names of parts.
    """
    try:
        strongest = roles(model, strongest=True).set_index("part")["attribute"]
    except KitError:
        return [""] * len(parts)
    return [strongest.get(name, "") for name in parts]


def role_shares(model: Model, attribute: str, kinds: tuple[str, ...] | None = ("head",)) -> pd.Series | None:
    """Share of each head's variance that an attribute explains, largest first; None without roles.

    Args:
        model: any; a shipped one has roles.
        attribute: such as `"background"`.
        kinds: of parts; None is all.
    """
    try:
        found = roles(model)
    except KitError:
        return None
    some = found[found["attribute"] == attribute]
    some = some if kinds is None else some[some["kind"].isin(kinds)]
    return some.set_index("part")["share"].sort_values(ascending=False)


def says_shares(shares: pd.Series | None, attribute: str, chosen: list[str]) -> str:
    """How much of what some heads write an attribute explains, beside all heads; "" where nothing is known.

    Args:
        shares: `role_shares` of the attribute.
        attribute: its name.
        chosen: names of parts; without a head among them, the largest shares are told.

    Example:
        >>> shares = pd.Series({"L5.H0": 0.5, "L5.H5": 0.4, "L1.H0": 0.3, "L0.H0": 0.0})
        >>> says_shares(shares, "background", ["L5.H0", "L0.H0"])[:65]
        'the background explains 0.25 of what these heads write, on averag'
    """
    if shares is None:
        return ""
    top, heads = shares.index[: max(len(chosen), 3)], [name for name in chosen if name in shares.index]
    if not heads:
        told = ", ".join(f"{part} {shares[part]:.2f}" for part in top)
        return f"share of a head's output that the {attribute} explains, largest first: {told}"
    mine, among = shares[heads].mean(), sum(head in top for head in heads)
    return (
        f"the {attribute} explains {mine:.2f} of what these heads write, on average, and {shares.mean():.2f} "
        f"of what all write; {among} of {len(heads)} are among the {len(top)} of which it explains most"
    )


def heads_of_role(model: Model, attribute: str, least: float = 0.2, fewest: int = 3) -> pd.Series:
    """The heads of an attribute: those of whose variance it explains much, with its share, largest first.

    Args:
        model: a shipped one.
        attribute: such as `"background"`.
        least: the share that counts as much.
        fewest: how many heads are given where no head has so much.

    Raises:
        KitError: a model without roles, an attribute that was not measured.

    Example:
        >>> heads_of_role(load("stickers-l8"), "concept").index.tolist()
        ['L4.H3', 'L3.H2', 'L4.H4']
    """
    found = roles(model)
    if attribute not in set(found["attribute"]):
        known = ", ".join(dict.fromkeys(found["attribute"]))
        raise KitError(f'no role "{attribute}" was measured; there are {known}.')
    shares = role_shares(model, attribute)
    return shares[shares >= least] if (shares >= least).any() else shares.head(fewest)


def table(found: dict) -> pd.DataFrame:
    """The rows of a file of roles; see `roles`."""
    parts = pd.DataFrame(found["parts"], columns=["part", "layer", "head", "kind"])
    parts = parts.astype({"layer": "Int64", "head": "Int64"})
    blocks = [
        parts.assign(attribute=name, **{figure: measured[figure] for figure in FIGURES})
        for name, measured in found["attributes"].items()
    ]
    rows = pd.concat(blocks, ignore_index=True)
    return rows.assign(significant=rows["share"] > rows["bound"])
