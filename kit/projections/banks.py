"""Banks of texts with their directions, to describe parts with."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.axes import expect_shape
from kit.errors import KitError
from kit.models.model import Model
from kit.projections.photographs import tagged_texts
from kit.world import prompts
from kit.world.phrases import OPENING

# What phrases of the stickers grammar tell; of an attribute's own values, see `kit.world.prompts`.
PROPERTIES = (
    "concept", "category", "colour", "texture", "background", "position", "size", "count", "relation",
    "word",
)  # fmt: skip

OWN = "own texts"


@dataclass(frozen=True)
class Bank:
    """Texts and a unit-length direction for each.

    Args:
        texts: the texts; what stands twice is kept twice.
        vectors: [text, embed], unit rows.
        properties: what each text tells of an image, or None for an untagged bank.
        name: of the bank, in words.
        weights_hash: of the model that encoded the texts; None where nothing is known of it.

    Raises:
        KitError: no text, shapes that do not fit, a direction that is not of unit length.

    Example:
        >>> Bank(["up", "right"], torch.eye(2), name="axes")
        <Bank "axes": 2 texts>
    """

    texts: list[str]
    vectors: Tensor = field(repr=False)
    properties: list[str] | None = None
    name: str = "texts"
    weights_hash: str | None = None

    def __post_init__(self):
        if not self.texts:
            raise KitError(f'the bank "{self.name}" holds no text; give at least one.')
        expect_shape(self.vectors, "text embed", "vectors of a bank", text=len(self.texts))
        if self.properties is not None and len(self.properties) != len(self.texts):
            raise KitError(
                f"{len(self.properties)} properties for {len(self.texts)} texts; give one for each, or None."
            )
        lengths = self.vectors.norm(dim=1)
        if not ((lengths - 1).abs() < 1e-4).all():  # not finite fails too
            worst = int((lengths - 1).abs().nan_to_num(torch.inf).argmax())
            raise KitError(
                f'the direction of "{self.texts[worst]}" has length {lengths[worst]:.3g}, not 1; make the '
                "rows unit with torch.nn.functional.normalize(vectors, dim=-1)."
            )

    def __repr__(self) -> str:
        tagged = f", {len(set(self.properties))} properties" if self.properties else ""
        return f'<Bank "{self.name}": {len(self.texts)} texts{tagged}>'

    @classmethod
    def stickers(cls, model: Model) -> "Bank":
        """The phrases of the stickers grammar that tell one property alone, with every opening.

        Args:
            model: one that encodes texts.
        """
        pairs = [(start, prompt, p) for p in PROPERTIES for start in OPENING for prompt in prompts(p)]
        texts = [_opened(start, prompt) for start, prompt, _ in pairs]
        return cls._encoded(model, texts, "stickers grammar", [p for _, _, p in pairs])

    @classmethod
    def photographs(cls, model: Model) -> "Bank":
        """Texts for photographs: 22 properties, 100 texts of each, of one set of templates.

        See `data_cards/photograph_bank.md` for how they were made, and `centred` and `spread` for what to do
        with them first.

        Args:
            model: one that encodes texts, with an open vocabulary.

        Raises:
            KitError: a shipped model, which knows the words of the stickers world alone.
        """
        if model.known_words:
            raise KitError(
                f'the texts for photographs ask for an open vocabulary, but "{model.name}" knows '
                f"{len(model.known_words)} words; load a model that was trained on photographs, or take "
                "Bank.stickers."
            )
        texts = tagged_texts()
        return cls._encoded(model, [t.text for t in texts], "photographs", [t.property for t in texts])

    @classmethod
    def file(cls, model: Model, path: str | Path) -> "Bank":
        """The lines of a text file, without empty ones.

        Args:
            model: one that encodes texts.
            path: a file in UTF-8.

        Raises:
            KitError: no such file, no line in it, or no text.
        """
        if not isinstance(path, str | os.PathLike):
            raise KitError(
                f"Bank.file reads a text file, but was given the type {type(path).__name__}; name a file "
                "with one text on each line, or write Bank.own(model, texts) for texts at hand."
            )
        path = Path(path)
        if not path.is_file():
            raise KitError(f'no text file at "{path}"; name a file with one text on each line.')
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise KitError(f'"{path.name}" is not a text in UTF-8; save it as UTF-8.') from error
        return cls._encoded(model, [line for line in lines if line], path.name)

    @classmethod
    def words(cls, model: Model) -> "Bank":
        """The single words of the stickers grammar: a control, for texts that tell nothing in a sentence."""
        words = {word for p in PROPERTIES for prompt in prompts(p) for word in prompt.split()}
        return cls._encoded(model, sorted(words), "words of the stickers grammar")

    @classmethod
    def own(cls, model: Model, words: str | Iterable[str]) -> "Bank":
        """Texts that somebody typed; what stands twice is kept once.

        Args:
            model: one that encodes texts.
            words: such as `"a cat; a red thing"`, or `["a cat", "a red thing"]`.

        Raises:
            KitError: no text among them.
        """
        words = words.split(";") if isinstance(words, str) else words
        texts = list(dict.fromkeys(text for each in words if (text := " ".join(each.split()))))
        if not texts:
            raise KitError("there are no own texts yet; write some, with ; between them.")
        return cls._encoded(model, texts, OWN)

    @property
    def line(self) -> str:
        """The line of code that makes the bank again, where it is one of the kit's."""
        made = {
            "stickers grammar": "kit.projections.Bank.stickers(model)",
            "words of the stickers grammar": "kit.projections.Bank.words(model)",
            "photographs": "kit.projections.Bank.photographs(model)",
            "random directions": f"kit.projections.Bank.random(model, {len(self.texts)})",
            OWN: f"kit.projections.Bank.own(model, {'; '.join(self.texts)!r})",
        }
        return made.get(self.name, f"...  # {self.name}")

    @classmethod
    def random(cls, model: Model, count: int, seed: int = 0) -> "Bank":
        """Random directions: a control, for directions that mean nothing.

        Args:
            model: gives the width.
            count: how many.
            seed: of the generator.
        """
        noise = torch.randn(count, model.embed_dim, generator=torch.Generator().manual_seed(seed))
        texts = [f"random {i}" for i in range(count)]
        return cls(texts, normalize(noise, dim=-1), None, "random directions", model.weights_hash)

    @classmethod
    def _encoded(
        cls, model: Model, texts: list[str], name: str, properties: list[str] | None = None
    ) -> "Bank":
        if not texts:
            raise KitError(f'the bank "{name}" holds no text; give at least one.')
        return cls(texts, model.encode_text(texts).float().cpu(), properties, name, model.weights_hash)

    def expect_weights(self, name: str, weights_hash: str) -> None:
        """Raise unless these weights, of the model `name`, encoded the texts."""
        if self.weights_hash not in (None, weights_hash):
            raise KitError(
                f'the bank "{self.name}" was encoded by weights {self.weights_hash[:8]}, but "{name}" has '
                f"weights {weights_hash[:8]}; encode it with that model."
            )

    def centred(self) -> "Bank":
        """The same texts with their mean direction taken out, unit length again.

        Texts of one tower all lie in a narrow cone; what tells them apart is what is left without its axis.

        Raises:
            KitError: nothing is left of a text, as of the only one of a bank.

        Example:
            >>> Bank(["up", "right"], torch.eye(2)).centred().vectors
            tensor([[ 0.7071, -0.7071],
                    [-0.7071,  0.7071]])
        """
        vectors = normalize(self.vectors - self.vectors.mean(0), dim=1)
        return replace(self, vectors=vectors, name=f"{self.name}, centred")

    def spread(self) -> pd.DataFrame:
        """How far the texts of each property lie apart: a wide property catches heads that mean nothing.

        Returns:
            A table with the columns `property`, `texts` and `spread`, the mean distance of a property's
            directions to their mean, widest first. Properties of a good bank, centred, differ by less than a
            factor of 1.5.

        Raises:
            KitError: a bank without properties.

        Example:
            >>> vectors = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
            >>> Bank(["up", "right", "left"], vectors, ["y", "x", "x"]).spread()
              property  texts  spread
            0        x      2     1.0
            1        y      1     0.0
        """
        if self.properties is None:
            raise KitError(f'the bank "{self.name}" has no properties; give one for each text.')
        named = pd.Series(self.properties)
        rows = []
        for name, numbers in named.groupby(named, sort=False).groups.items():
            own = self.vectors[list(numbers)]
            rows.append((name, len(own), float((own - own.mean(0)).norm(dim=1).mean())))
        table = pd.DataFrame(rows, columns=["property", "texts", "spread"])
        return table.sort_values("spread", ascending=False, kind="stable", ignore_index=True)

    @cached_property
    def copies(self) -> dict[int, list[int]]:
        """The number of each text that differs from all before it, with the numbers of its exact copies."""
        first, copies = {}, {}
        for number, vector in enumerate(self.vectors.contiguous().numpy()):
            original = first.setdefault(vector.tobytes(), number)
            copies.setdefault(original, [])
            if original != number:
                copies[original].append(number)
        return copies


def _opened(start: str, prompt: str) -> str:
    """A prompt with an opening; "there is" says "are" of what is more than one."""
    many = prompt.split()[0] in ("two", "three", "four")
    return (start.replace(" is ", " are ") if many else start) + prompt
