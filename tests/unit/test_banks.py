"""Banks that somebody types, the lines that make a bank again, and what the texts of parts come to."""

import pandas as pd
import pytest
import torch

import kit
from kit.errors import KitError
from kit.projections import Bank, TextSpan
from kit.projections.banks import OWN
from tests.unit.panel_doubles import Model


@pytest.mark.parametrize(
    "words, texts",
    [
        ("a cat", ["a cat"]),
        ("a cat; a dog;a cat", ["a cat", "a dog"]),
        ("  a \t cat ;; ; a  dog ;", ["a cat", "a dog"]),
        ("b; a", ["b", "a"]),  # in the order typed
    ],
)
def test_own_texts_are_cleaned_and_kept_once(words, texts):
    model = Model()
    bank = Bank.own(model, words)
    assert bank.texts == texts and bank.name == OWN and bank.properties is None
    assert bank.weights_hash == model.weights_hash
    assert torch.equal(bank.vectors, model.encode_text(texts))


@pytest.mark.parametrize("words", ["", "  ", " ; ;\n"])
def test_own_texts_that_are_none(words):
    with pytest.raises(KitError, match="there are no own texts yet; write some, with ; between them"):
        Bank.own(Model(), words)


BANKS = {
    "stickers": Bank.stickers,
    "words": Bank.words,
    "random": lambda model: Bank.random(model, 7),
    "own": lambda model: Bank.own(model, "a cat; 'the' \"red\" thing; it's"),
}


@pytest.mark.parametrize("name", BANKS)
def test_the_line_of_a_bank_makes_it_again(stickers, name):
    bank = BANKS[name](stickers)
    again = eval(bank.line, {"kit": kit, "model": stickers})
    assert (again.texts, again.properties, again.name) == (bank.texts, bank.properties, bank.name)
    assert torch.equal(again.vectors, bank.vectors) and again.weights_hash == bank.weights_hash


def test_a_bank_of_ones_own_has_no_line_but_says_which_it_is():
    assert Bank(["up", "right"], torch.eye(2), name="axes").line == "...  # axes"


COLUMNS = ["part", "rank", "text", "property", "share"]


def some(columns: list[str]) -> TextSpan:
    """Texts of three parts, the second of which has none."""
    rows = [
        ("L0.H0", 1, "a cat", "concept", 0.5),
        ("L0.H0", 2, "red", "colour", 0.25),
        ("L1.H0", 1, "red", "colour", 0.125),
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)[columns]
    return TextSpan(table, torch.zeros(3, 2, 4), torch.zeros(3, 4), ["L0.H0", "L0.H1", "L1.H0"])


@pytest.mark.parametrize("tagged", [True, False])
def test_a_summary_is_that_of_a_loop(tagged):
    spans = some([c for c in COLUMNS if tagged or c != "property"])
    found = spans.summary()
    assert list(found.index) == spans.parts and list(found) == ["share", "text", "property"]
    for part in spans.parts:
        share, first, tells = 0.0, "", ""
        for row in spans.table.to_dict("records"):
            if row["part"] == part:
                share += row["share"]
                if row["rank"] == 1:
                    first, tells = row["text"], row.get("property", "")
        assert list(found.loc[part]) == [share, first, tells]
    assert list(found.loc["L0.H1"]) == [0.0, "", ""]


def test_a_summary_of_real_parts(stickers):
    moments = kit.collect(stickers, kit.world.draw(40, 1), "moments", "40 scenes", selector="L4-5.H*")
    spans = kit.textspan(moments, Bank.own(stickers, "a cat; a red thing; a thing on grass"), texts=2)
    found = spans.summary()
    for part in spans.parts:
        mine = spans.table[spans.table["part"] == part]
        assert found.loc[part, "share"] == pytest.approx(mine["cumulative"].max())
        assert found.loc[part, "text"] == mine["text"].iloc[0] and found.loc[part, "property"] == ""
