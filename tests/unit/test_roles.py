"""Shares of variance: closed forms, planted roles, controls, refusals; reader, picture and page."""

import json

import pandas as pd
import pytest
import torch
from PIL import Image

import kit
from kit.errors import KitError
from kit.measures import family_bound, variance_share
from kit.measures.agreement import fits_role
from kit.models.names import SHIPPED
from kit.parts.roles import (
    FIGURES,
    FORMAT,
    heads_of_role,
    role_shares,
    says_shares,
    strongest_roles,
    table,
)
from kit.workshop.cards import role_page
from kit.workshop.cards.role_map import colour, draw_roles
from kit.workshop.cards.roles import save

LITTLE = {"permutations": 2, "draws": 2}
CONCEPT = torch.arange(12).repeat(20)  # 12 groups of 20 scenes, in 4 wider ones
CATEGORY = CONCEPT // 3


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def above(found) -> torch.Tensor:
    """Which parts are above their own 95 % of shuffles."""
    return found.share > found.null.quantile(0.95, dim=0)


def slow_shares(outputs, fold, codes, within) -> list[float]:
    """The formula of the docstring, scene by scene."""
    shares = []
    for output in outputs.double().unbind(1):
        between = total = 0.0
        for i in range(len(codes)):
            out = fold != fold[i]
            mean = output[out].mean(0)
            group, wider = (output[out & (c == c[i])].mean(0) for c in (codes, within))
            between += (output[i] - mean) @ (group - wider)
            total += (output[i] - mean).square().sum()
        shares.append(float(between / total))
    return shares


def test_four_scenes_by_hand():
    """Folds hold one scene of each group: (1 + 3 + 4 + 0) / (1 + 9 + 4 + 0)."""
    outputs, codes = torch.tensor([1.0, 1.0, 5.0, 3.0])[:, None, None], torch.tensor([0, 0, 1, 1])
    assert variance_share(outputs, codes, seed=0, folds=2, **LITTLE).share.item() == pytest.approx(8 / 14)


@pytest.mark.parametrize("nested", [False, True])
def test_equals_a_loop_over_scenes(nested):
    from kit.measures.roles import _design

    outputs, within = noise(60, 3, 4) + CONCEPT[:60, None, None], CATEGORY if nested else 0 * CATEGORY
    design = _design(outputs, CONCEPT[:60], within[:60], 5, torch.Generator().manual_seed(3))
    found = variance_share(outputs, CONCEPT[:60], within[:60] if nested else None, seed=3, **LITTLE).share
    wanted = slow_shares(outputs, design.fold, CONCEPT[:60], within[:60])
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)


def test_without_noise_groups_explain_everything_and_nested_shares_have_a_closed_form():
    means = noise(12, 1, 5)
    outputs = means[CONCEPT]
    wide = means.unflatten(0, (4, 3)).mean(1, keepdim=True)  # [category, 1, part, dim]
    inside = float(
        (means.unflatten(0, (4, 3)) - wide).square().sum() / (means - means.mean(0)).square().sum()
    )
    assert variance_share(outputs, CONCEPT, seed=0, **LITTLE).share.item() == pytest.approx(1, abs=1e-5)
    nested = variance_share(outputs, CONCEPT, CATEGORY, seed=0, **LITTLE).share.item()
    assert nested == pytest.approx(inside, abs=1e-5)


def test_noise_of_the_means_adds_nothing():
    """Half of the variance is planted, in groups of six scenes: an uncorrected eta squared would say 0.58."""
    codes, dims = torch.arange(40).repeat(6), 30
    planted = noise(40, 1, dims)
    planted = planted - planted.mean(0)
    planted = planted * (dims / planted.square().sum(2).mean()).sqrt()
    outputs = planted[codes] + noise(240, 20, dims, seed=1)
    assert variance_share(outputs, codes, seed=0, **LITTLE).share.mean().item() == pytest.approx(
        0.5, abs=0.01
    )


def test_category_and_concept_within_it_make_the_concept():
    outputs = noise(240, 8, 6) + noise(12, 8, 6, seed=1)[CONCEPT] + noise(4, 8, 6, seed=2)[CATEGORY]
    category = variance_share(outputs, CATEGORY, seed=0, **LITTLE).share
    within = variance_share(outputs, CONCEPT, CATEGORY, seed=0, **LITTLE).share
    everything = variance_share(outputs, CONCEPT, seed=0, **LITTLE).share
    assert torch.allclose(category + within, everything, atol=0.02)
    assert (category > 0.1).all() and (within > 0.1).all() and (everything < 1).all()


def test_the_part_that_was_planted_is_found_and_no_other():
    outputs = noise(240, 20, 8)
    outputs[:, 7] += noise(12, 8, seed=1)[CONCEPT]
    found = variance_share(outputs, CONCEPT, seed=0, draws=2)
    assert (found.share > family_bound(found.null)).nonzero().tolist() == [[7]]


def test_what_the_category_says_does_not_hide_the_concept():
    """Nearly all variance is the category's; shuffles inside it keep it out of the null."""
    outputs = noise(240, 10, 8) + 20 * noise(4, 10, 8, seed=1)[CATEGORY] + noise(12, 10, 8, seed=2)[CONCEPT]
    assert above(variance_share(outputs, CONCEPT, CATEGORY, seed=0, permutations=100, draws=2)).all()


@pytest.mark.parametrize("nested", [False, True])
def test_wrong_labels_give_shares_at_the_null(nested):
    """Shuffled and reversed labels of parts that carry everything: 5 % above the null, as many as named."""
    means, rates, shares = noise(12, 1, 8), [], []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        concept = torch.randint(12, (240,), generator=generator)
        outputs = means[concept] + torch.randn(240, 1, 8, generator=generator)
        for wrong in (concept[torch.randperm(240, generator=generator)], concept.flip(0)):
            within = wrong // 3 if nested else None
            found = variance_share(outputs, wrong, within, seed=seed, permutations=40, draws=1)
            rates.append(float(above(found)))
            shares.append(found.share)
    assert sum(rates) / len(rates) < 0.13  # 3 standard errors of 80 trials above 0.05
    assert torch.cat(shares).mean().abs() < 0.005
    assert above(variance_share(outputs, concept, seed=0, permutations=40, draws=1)).all()


def test_the_interval_is_as_wide_as_other_scenes_would_have_it():
    """Copies of a scene stay in its fold: in a bootstrap that dealt them anew, noise would explain itself."""
    found = variance_share(noise(240, 20, 8), CONCEPT, seed=0, permutations=2, draws=200)
    assert (found.low < 0).all() and (found.high > 0).all()
    assert float(((found.low + found.high) / 2 - found.share).abs().max()) < 0.02


def test_of_many_noises_none_is_called_a_role():
    chosen = []
    for seed in range(20):
        found = variance_share(noise(240, 40, 4, seed=seed), CONCEPT, seed=seed, permutations=100, draws=1)
        chosen.append(bool((found.share > family_bound(found.null)).any()))
        assert above(found).any() or not chosen[-1]
    assert sum(chosen) <= 4


GOOD = {"outputs": noise(240, 2, 3), "codes": CONCEPT}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": noise(240, 2)}, r"outputs should be \[scene, part, dim\]"),
        ({"codes": CONCEPT[:9]}, r"codes should be \[scene=240\]"),
        ({"outputs": GOOD["outputs"] / 0}, "not finite"),
        ({"codes": CONCEPT - 1}, "20 scenes have no group"),
        ({"codes": CONCEPT * 0}, "1 group: variance between groups needs two or more"),
        ({"codes": torch.arange(240) // 3}, "group 0 has 3 scenes, but there are 5 folds"),
        ({"folds": 1}, "folds=1 leaves no scenes"),
        ({"within": CATEGORY[:9]}, r"within should be \[scene=240\]"),
        ({"within": torch.arange(240) % 7}, "group 0 lies in more than one group of within="),
        (
            {"outputs": GOOD["outputs"] * torch.tensor([1.0, 0.0])[:, None]},
            "part 1 is the same in all scenes",
        ),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(kit.KitError, match=message):
        variance_share(**{**GOOD, "seed": 0, **LITTLE, **change})


def test_a_null_needs_permutations():
    with pytest.raises(kit.KitError, match="a null of 1 permutations has no spread"):
        family_bound(torch.zeros(1, 3))


def made(share: float = 0.5) -> dict:
    """What a file of roles holds, for two attributes and three parts."""
    figures = {name: [0.02, 0.0, -0.01] for name in FIGURES} | {"bound": [0.03, 0.03, 0.03]}
    parts = [["embed", None, None, "embed"], ["L0.H0", 0, 0, "head"], ["L0.MLP", 0, None, "mlp"]]
    facts = {"kind": "single", "seed": 1, "scenes": 100}
    attributes = {"category": facts | figures | {"share": [0.0, share, 0.01]}, "word": facts | figures}
    head = {"format": FORMAT, "model": "x", "weights_hash": "abcdefghij", "world": 1, "seed": 2}
    return head | {"permutations": 3, "cpu_seconds": 4, "parts": parts, "attributes": attributes}


def test_a_file_comes_back_as_rows(tmp_path):
    save(made(), tmp_path / "roles.json")
    assert [p.name for p in tmp_path.iterdir()] == ["roles.json"]
    rows = table(json.loads((tmp_path / "roles.json").read_text(encoding="utf-8")))
    assert list(rows) == ["part", "layer", "head", "kind", "attribute", *FIGURES, "significant"]
    assert rows[rows["significant"]][["part", "attribute"]].values.tolist() == [["L0.H0", "category"]]


def test_the_page_says_which_attributes_no_head_carries():
    assert "L0.H0 0.500" in role_page.page(made()) and "No head carries: word." in role_page.page(made())
    assert "No head gives a share of 0.05 to: category." in role_page.page(made(share=0.04))


def test_the_picture_shows_the_shares(tmp_path):
    draw_roles(table(made()), "x", tmp_path / "x.png")
    picture = Image.open(tmp_path / "x.png")
    assert picture.width == 1000
    shown = {pixel for _, pixel in picture.convert("RGB").getcolors(10**6)}
    assert {colour(0.0, 0.5), colour(0.5, 0.5)} <= shown


def test_the_scale_ends_where_the_shares_do():
    assert [colour(share, 0.8) for share in (-1, 0.8, 2)] == [(255, 255, 217), (8, 29, 88), (8, 29, 88)]


def test_other_weights_have_other_roles():
    model = kit.load("stickers-l8")
    measured = json.loads((SHIPPED / "stickers-l8" / "roles.json").read_text(encoding="utf-8"))[
        "weights_hash"
    ]
    with torch.no_grad():
        next(model.tower.parameters()).add_(1)
    with pytest.raises(
        kit.KitError, match=f"with weights {measured[:8]}.*has weights {model.weights_hash[:8]}"
    ):
        kit.roles(model)


def test_the_role_of_a_part_is_the_attribute_above_chance_that_explains_most(stickers):
    strongest, every = kit.roles(stickers, strongest=True).set_index("part"), kit.roles(stickers)
    assert strongest["significant"].all() and list(strongest.reset_index()[list(every)]) == list(every)
    without = set(every["part"]) - set(strongest.index)
    assert strongest.index.is_unique and not every[every["part"].isin(without)]["significant"].any()
    for part, mine in every[every["significant"]].groupby("part"):
        best = max(mine.itertuples(), key=lambda row: row.share)
        assert (strongest["attribute"][part], strongest["share"][part]) == (best.attribute, best.share)


def test_models_without_roles_say_what_to_do(load):
    with pytest.raises(kit.KitError, match=r"random weights, untrained.*has no roles.*variance_share"):
        kit.roles(load("stickers-l8", "random"))


def test_the_strongest_roles_are_in_the_order_of_the_parts_that_are_asked(stickers):
    strongest = kit.roles(stickers, strongest=True).set_index("part")["attribute"].to_dict()
    parts = [*reversed(kit.roles(stickers)["part"].unique()), "final.bias"]  # a constant has no role
    found = strongest_roles(stickers, parts)
    assert found == [strongest.get(part, "") for part in parts]
    assert found[-1] == "" and len(set(found)) > 4


def test_a_model_without_roles_has_none_to_agree_with(load):
    assert strongest_roles(load("stickers-l8", "random"), ["L0.H0", "L5.H0"]) == ["", ""]


@pytest.mark.parametrize(
    "said, role, fits",
    [
        ("colour", "colour", True),
        ("colour", "size", False),
        ("relation", "arrangement", True),
        ("position", "arrangement", True),
        ("size", "arrangement", False),
        ("arrangement", "relation", False),  # what is also right goes one way
        ("", "size", None),
        ("size", "", None),
        ("", "", None),
    ],
)
def test_a_property_fits_a_role_or_not_or_nobody_knows(said, role, fits):
    assert fits_role(said, role) is fits


def test_the_heads_of_a_role_are_those_of_much_share_or_the_first_few(stickers):
    every, concept = (role_shares(stickers, name) for name in ("background", "concept"))
    assert heads_of_role(stickers, "background").equals(every[every >= 0.2]) and concept.max() < 0.2
    assert heads_of_role(stickers, "concept").equals(concept.iloc[:3])
    assert len(heads_of_role(stickers, "concept", fewest=5)) == 5
    with pytest.raises(KitError, match='no role "smell" was measured; there are category, concept'):
        heads_of_role(stickers, "smell")


def test_shares_of_an_attribute_are_told_beside_those_of_all_heads():
    shares = pd.Series({"L5.H0": 0.5, "L5.H5": 0.4, "L1.H0": 0.3, "L0.H0": 0.0})
    told = says_shares(shares, "background", ["L5.H0", "L0.H0", "L2.MLP"])
    expected = (
        "the background explains 0.25 of what these heads write, on average, and 0.30 of what all write; "
    )
    assert told == f"{expected}1 of 2 are among the 3 of which it explains most"
    none = (
        "share of a head's output that the size explains, largest first: L5.H0 0.50, L5.H5 0.40, L1.H0 0.30"
    )
    assert says_shares(shares, "size", ["L2.MLP"]) == says_shares(shares, "size", []) == none
    assert says_shares(None, "size", ["L5.H0"]) == ""
