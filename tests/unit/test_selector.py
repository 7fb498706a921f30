"""The text that chooses parts."""

import pandas as pd
import pytest

from kit.errors import KitError
from kit.parts import select


def index(layers=3, heads=4):
    rows = [("embed", "embed", None, None)]
    for layer in range(layers):
        rows += [(f"L{layer}.H{h}", "head", layer, h) for h in range(heads)]
        rows += [(f"L{layer}.attn.bias", "bias", layer, None), (f"L{layer}.MLP", "mlp", layer, None)]
    rows.append(("final.bias", "bias", None, None))
    return pd.DataFrame(rows, columns=["name", "kind", "layer", "head"]).astype(
        {"layer": "Int64", "head": "Int64"}
    )


def names(selector):
    table = index()
    return " ".join(table["name"].iloc[select(table, selector)])


LAYER_1 = "L1.H0 L1.H1 L1.H2 L1.H3 L1.attn.bias L1.MLP"


@pytest.mark.parametrize(
    "selector, expected",
    [
        ("L1", LAYER_1),
        ("L1.H2", "L1.H2"),
        ("L1.H1-2", "L1.H1 L1.H2"),
        ("L1.H*", "L1.H0 L1.H1 L1.H2 L1.H3"),
        ("L1.attn", "L1.H0 L1.H1 L1.H2 L1.H3"),
        ("L1.MLP", "L1.MLP"),
        ("L*.MLP", "L0.MLP L1.MLP L2.MLP"),
        ("L0-1.H0", "L0.H0 L1.H0"),
        ("L-2:.MLP", "L1.MLP L2.MLP"),
        ("L1.attn.bias", "L1.attn.bias"),
        ("bias", "L0.attn.bias L1.attn.bias L2.attn.bias final.bias"),
        ("embed, final.bias", "embed final.bias"),
        ("final.bias, embed, embed", "embed final.bias"),
        ("none", ""),
        ("L1, !L1.H*", "L1.attn.bias L1.MLP"),
        ("L1, !L1.H0, L1.H0", LAYER_1),
    ],
)
def test_terms(selector, expected):
    assert names(selector) == expected


def test_everything_and_what_is_taken_from_it():
    everything = len(index())
    assert len(names("all").split()) == len(names("*").split()) == everything
    assert len(names("!L1").split()) == everything - len(LAYER_1.split())


@pytest.mark.parametrize(
    "selector, message",
    [
        ("", 'the selector is empty; write "none" for no part, "all" for every part.'),
        (" , ", 'the selector is empty; write "none" for no part, "all" for every part.'),
        ("L1,,L2", 'the selector "L1,,L2" has an empty term between its commas.'),
        ("L2-1", 'the range in "L2-1" is reversed; write L1-2.'),
        ("L1.H3-1", 'the range in "L1.H3-1" is reversed; write H1-3.'),
        ("L7", "layer 7 does not exist: there are 3 layers (0–2)."),
        ("L1-7", "layer 7 does not exist: there are 3 layers (0–2)."),
        ("L1.H9", "head 9 of layer 1 does not exist: it has 4 heads (0–3)."),
        ("L-9:", '"L-9:" asks for the last layers as L-4:, from 1 to 3 of them.'),
        ("L1.foo", '"L1.foo" asks for "foo"; a layer has H0, H1-3, H*, attn, MLP and attn.bias.'),
        (
            "embedd",
            'no part "embedd"; parts are named like embed, L0.H0, L0.H1, final.bias. Nearest: embed.',
        ),
        (3, 'a selector is a text such as "L3.H1, L5.MLP", not int.'),
    ],
)
def test_messages(selector, message):
    with pytest.raises(KitError) as error:
        select(index(), selector)
    assert str(error.value) == message


def test_a_layer_of_a_tower_without_attention():
    with pytest.raises(
        KitError, match='"L3" asks for a layer, and there is none; parts are named like embed'
    ):
        select(index(layers=0), "L3")
