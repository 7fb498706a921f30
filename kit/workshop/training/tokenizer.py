"""A byte-pair vocabulary made for the world's words, in the file format that open_clip reads."""

import gzip
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from kit.errors import KitError
from kit.writing import write_file

_PIECES = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]+")  # how open_clip cuts lower-case ASCII text
_BYTES = 256  # each byte stands once inside a word and once at its end
_SPECIAL = 2  # start and end of a text


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Merges after which each of the words is one token.

    The most frequent neighbouring pair is merged again and again, ties in
    alphabetical order, until no pair is left, so the result depends on the set
    of words alone. Words of several pieces ("t-shirt") are learnt piece by piece.

    Args:
        words: lower-case ASCII words.

    Returns:
        Pairs in the order in which they are applied.

    Raises:
        KitError: a word holds other characters.

    Example:
        >>> learn_merges(["cat", "at"])
        [('a', 't</w>'), ('c', 'at</w>')]
    """
    words = list(words)
    if odd := [w for w in words if not w.isascii() or w != w.lower()]:
        raise KitError(f"the vocabulary takes lower-case ASCII words, not {odd[:3]}; rename them.")
    pieces = sorted({p for w in words for p in _PIECES.findall(w)})
    spelled = [[*p[:-1], p[-1] + "</w>"] for p in pieces]
    merges = []
    while True:
        pairs = Counter(pair for word in spelled for pair in pairwise(word))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_merge(word, best) for word in spelled]


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    """The word with every occurrence of the pair joined, from the left."""
    joined, i = [], 0
    while i < len(word):
        hit = tuple(word[i : i + 2]) == pair
        joined.append("".join(pair) if hit else word[i])
        i += 2 if hit else 1
    return joined


def write_vocabulary(path: Path, merges: list[tuple[str, str]]) -> int:
    """Write the merges as open_clip reads them.

    open_clip skips the first line and takes every other one for a merge, so
    the text must not end in a line break. The file holds no time stamp: equal
    merges give equal bytes.

    Args:
        path: the `.txt.gz` file.
        merges: from `learn_merges`.

    Returns:
        The number of tokens: `vocab_size` of the model's configuration. The
        last one is the end of a text, at which open_clip's text tower pools.

    Example:
        >>> import tempfile
        >>> write_vocabulary(Path(tempfile.mkdtemp()) / "bpe.txt.gz", learn_merges(["cat", "at"]))
        516
    """
    text = "\n".join(["#version: stickers", *(" ".join(pair) for pair in merges)])
    write_file(path, gzip.compress(text.encode(), mtime=0))
    return vocabulary_size(merges)


def vocabulary_size(merges: list[tuple[str, str]]) -> int:
    """Number of tokens of a vocabulary with these merges: bytes twice, merges, start and end."""
    return 2 * _BYTES + len(merges) + _SPECIAL


class WordTokenizer:
    """An open_clip tokenizer that remembers each word's tokens: 50 times as fast on captions.

    Args:
        path: the vocabulary file.
        context: tokens of a text, start and end included.
    """

    def __init__(self, path: Path, context: int):
        from open_clip.tokenizer import SimpleTokenizer

        self.slow = SimpleTokenizer(bpe_path=str(path), context_length=context)
        self.context = context
        self._known: dict[str, list[int]] = {}

    def __call__(self, texts: list[str]) -> Tensor:
        """Token numbers, int64 [text, context], zeros after the end; longer texts are cut."""
        rows = []
        for text in texts:
            row = [self.slow.sot_token_id]
            for word in text.split():
                if word not in self._known:
                    self._known[word] = self.slow.encode(word)
                row += self._known[word]
            row = [*row[: self.context - 1], self.slow.eot_token_id]
            rows.append(row + [0] * (self.context - len(row)))
        return torch.tensor(rows, dtype=torch.int64)
