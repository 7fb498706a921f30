"""TextSpan of a shipped model beside the attributes that its heads are known to carry."""

import pandas as pd
import pytest
import torch

import kit
from kit.projections import Bank

CLEAR = 0.2  # share of a head's variance that its strongest attribute explains
SAME = {"arrangement": ("relation", "position")}  # what else tells left from right, above from below


@pytest.fixture(scope="module")
def known(stickers) -> pd.Series:
    """The strongest attribute of every head with a clear one."""
    table = kit.roles(stickers, strongest=True)
    return table[(table["kind"] == "head") & (table["share"] >= CLEAR)].set_index("part")["attribute"]


@pytest.fixture(scope="module")
def first(stickers) -> dict[str, pd.Series]:
    """For each score, the property of the first text of every head."""
    scenes = kit.world.draw(400, 79_001, kind="single")
    moments = kit.collect(stickers, scenes, "moments", "400 single scenes")
    bank = Bank.stickers(stickers)
    tables = {score: kit.textspan(moments, bank, 1, score).table for score in ("released", "variance")}
    return {score: table.set_index("part")["property"] for score, table in tables.items()}


def named(known: pd.Series, properties: pd.Series) -> int:
    """How many heads have a first text that tells their attribute."""
    return sum(p in SAME.get(a, (a,)) for a, p in zip(known, properties.loc[known.index]))


def test_the_default_score_names_what_more_heads_carry(known, first):
    assert named(known, first["released"]) > named(known, first["variance"])
    assert named(known, first["released"]) > len(known) / 2


def test_heads_in_another_order_are_not_named(known, first):
    generator = torch.Generator().manual_seed(0)
    chance = []
    for _ in range(200):
        order = torch.randperm(len(known), generator=generator).tolist()
        chance.append(named(pd.Series(known.to_numpy()[order], known.index), first["released"]))
    assert named(known, first["released"]) > max(chance)
