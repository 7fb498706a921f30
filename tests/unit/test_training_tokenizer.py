"""The vocabulary: every word of the world is one token, and open_clip reads the file."""

import gzip

import pytest

import kit.world as world
from kit.errors import KitError
from kit.workshop.training.tokenizer import WordTokenizer, learn_merges, vocabulary_size, write_vocabulary


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("vocabulary") / "bpe.txt.gz"


@pytest.fixture(scope="module")
def tokenizer(path):
    write_vocabulary(path, learn_merges(world.words()))
    return WordTokenizer(path, 24)


def test_each_plain_word_is_one_token(tokenizer):
    several = [w for w in world.words() if len(tokenizer.slow.encode(w)) != 1]
    assert all("-" in w for w in several)


def test_end_of_text_is_the_largest_token(tokenizer):
    size = vocabulary_size(learn_merges(world.words()))
    assert tokenizer.slow.vocab_size == size
    assert tokenizer.slow.eot_token_id == size - 1
    assert tokenizer.slow.sot_token_id == size - 2


def test_captions_fit_and_come_back(tokenizer):
    captions = world.draw(200, seed=3, kind="mixed").captions
    rows = tokenizer(captions)
    assert rows.shape == (200, 24)
    for caption, row in zip(captions, rows.tolist()):
        end = row.index(tokenizer.slow.eot_token_id)
        assert tokenizer.slow.decode(row[1:end]).strip() == caption.replace("-", " - ")


def test_remembered_words_give_open_clips_own_tokens(tokenizer):
    texts = ["a t-shirt on grass", "zeppelin", "", "a " * 40, *world.draw(50, seed=4, kind="mixed").captions]
    assert (tokenizer(texts) == tokenizer.slow(texts)).all()


def test_unknown_word_falls_into_pieces(tokenizer):
    assert len(tokenizer.slow.encode("zeppelin")) > 1


def test_file_is_the_same_each_time_and_ends_in_no_line_break(path, tokenizer):
    before = path.read_bytes()
    write_vocabulary(path, learn_merges(reversed(world.words())))
    assert path.read_bytes() == before
    assert not gzip.decompress(before).endswith(b"\n")


def test_words_of_other_alphabets_are_refused():
    with pytest.raises(KitError, match="lower-case ASCII words, not"):
        learn_merges(["cat", "Hund"])
