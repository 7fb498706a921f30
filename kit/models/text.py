"""Text towers of open_clip models: tokens, their limits, and words that were never seen."""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from kit.errors import KitError

_WORD = re.compile(r"[^\W\d_]+")
_SIGN = re.compile(r"[^\W\d_]+|[\u2190-\u2bff\U0001f000-\U0001faff]")  # words, and pictures such as emoji


class TextTower:
    """The text half of an open_clip model with its tokenizer.

    Args:
        module: the library's whole model; its `encode_text` is used as it is.
        make_tokenizer: builds the tokenizer; called at the first text.
        words: the closed vocabulary of a shipped model, or ().
    """

    def __init__(self, module: nn.Module, make_tokenizer: Callable, words: tuple[str, ...] = ()):
        self.module = module
        self.words = words
        self._make_tokenizer = make_tokenizer
        self._tokenizer = None

    def __deepcopy__(self, memo: dict) -> "TextTower":
        """A copy whose module is copied; the tokenizer never changes and is shared."""
        from copy import deepcopy

        twin = TextTower(deepcopy(self.module, memo), self._make_tokenizer, self.words)
        twin._tokenizer = self._tokenizer
        return twin

    @property
    def tokenizer(self):
        """Texts to tokens; made when it is first asked for."""
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        return self._tokenizer

    @property
    def context_length(self) -> int:
        """Most tokens of a text, start and end included."""
        return self.module.context_length

    def encode(self, texts: list[str]) -> Tensor:
        """Text features of the library's own tower, not normalised [text, embed]."""
        tokens = self.tokenizer(texts, context_length=self.context_length)  # [text, token]
        return self.module.encode_text(tokens.to(next(self.module.parameters()).device))

    def check(self, texts: list[str], name: str) -> None:
        """Raise on a text that is no text, is empty, or does not fit in the context."""
        for text in texts:
            if not isinstance(text, str):
                raise KitError(
                    f'a text should be a string such as "a dog", not of the type {type(text).__name__}.'
                )
            if not text.strip():
                raise KitError('the prompt is empty; write at least one word, such as "a dog".')
            count = self.count_tokens(text)
            if count > self.context_length:
                raise KitError(
                    f'the prompt "{shorten(text)}" has {count} tokens, but "{name}" reads at most '
                    f"{self.context_length}, start and end included; shorten it."
                )

    def count_tokens(self, text: str) -> int:
        """Tokens of a text with start and end; 0 where the tokenizer does not tell."""
        if hasattr(self.tokenizer, "encode"):
            return len(self.tokenizer.encode(text)) + 2
        inner = getattr(self.tokenizer, "tokenizer", None)  # of the package transformers; adds start and end
        return len(inner(text)["input_ids"]) if inner is not None else 0

    @staticmethod
    def split(text: str) -> list[str]:
        """Words and emoji of a text, lower case, in order, each once."""
        return list(dict.fromkeys(_SIGN.findall(text.lower())))


def shorten(text: str, limit: int = 40) -> str:
    """At most so many characters of a text, the last three of them dots where it is longer."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def has_vocabulary(folder: Path) -> bool:
    """Whether a model's folder brings merges of its own."""
    return (folder / "bpe.txt.gz").is_file()


def folder_words(folder: Path) -> tuple[str, ...]:
    """The words that a shipped vocabulary knows, sorted; none where the folder has no vocabulary of its own.

    `words.json` is the list where it exists. Without it the merges are read: what ends a word
    there is a word or the end of one, so a few word endings count as known.

    Raises:
        KitError: either file is not what it should be.
    """
    listed = folder / "words.json"
    if listed.is_file():
        try:
            words = json.loads(listed.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise KitError(f'"{listed}" is no JSON ({error}); take it anew, or remove it.') from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise KitError(f'"{listed}" should be a list of words in JSON; correct or remove it.')
        return tuple(sorted(words))
    if not has_vocabulary(folder):
        return ()
    try:
        merges = gzip.decompress((folder / "bpe.txt.gz").read_bytes()).decode("utf-8").split("\n")[1:]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise KitError(
            f'"{folder / "bpe.txt.gz"}" is no vocabulary packed by gzip ({error}); '
            "take it anew from where the model came."
        ) from None
    tokens = {merge.replace(" ", "") for merge in merges}
    whole = {token.removesuffix("</w>") for token in tokens if token.endswith("</w>")}
    letters = {chr(code) for code in range(ord("a"), ord("z") + 1)}
    return tuple(sorted({word for word in whole if _WORD.fullmatch(word)} | letters))
