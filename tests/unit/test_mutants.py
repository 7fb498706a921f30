"""The table of mutants fits the sources: each change can be made, and the tests that it names exist."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import Mutant
from tests.mutants.run import collect, sabotage

ROOT = Path(__file__).parents[2]
MUTANTS = collect()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_mutant_fits_the_sources(mutant):
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    changed = sabotage(text, mutant)
    assert changed != text
    if mutant.file.endswith(".py"):
        ast.parse(changed)
    assert mutant.tests
    for node in mutant.tests:
        path, _, name = node.partition("::")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert f"def {name.split('[')[0].split('::')[-1]}(" in source, f"{node} does not exist"


def test_names_are_unique():
    assert not [name for name, count in Counter(m.name for m in MUTANTS).items() if count > 1]


def test_there_are_enough():
    assert len(MUTANTS) >= 25


def test_old_text_that_stands_twice_is_refused():
    with pytest.raises(SystemExit, match=r"stands 2 times in f[.]txt, not once"):
        sabotage("a a", Mutant("x", "f.txt", "a", "b", ("t",)))
