"""Ablations of a whole store are sums of stored numbers, equal to the model's own run one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import kit
from kit.data import read_folder
from kit.edits import Means, asked
from kit.edits import answers as answers_module
from kit.errors import KitError
from kit.parts import merge_stores
from tests.exact.test_passes import folder  # noqa: F401 - pictures, two of them damaged
from tests.unit.tiny_models import write_folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return kit.load(str(write_folder(tmp_path_factory.mktemp("tiny") / "tiny")))


@pytest.fixture(scope="module")
def store(tiny, folder):  # noqa: F811
    return kit.collect(tiny, read_folder(folder), "store", "pictures", batch=4, selector="all", tokens="cls")


@pytest.fixture(scope="module")
def pixels(tiny, folder):  # noqa: F811
    return tiny.preprocess([picture for _, picture in read_folder(folder).readable()])


@pytest.fixture(scope="module")
def question(tiny, store):
    seed = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(5, tiny.embed_dim, generator=seed), dim=1)
    return asked(store, directions, np.arange(len(store)) % 5, list("abcde"), "letter")


def test_nothing_replaced_is_the_cosine_to_the_bit(store, question):
    means = Means.of(store)
    for found in (question.after(), question.after("none", means), question.after("none", None, "none")):
        assert torch.equal(found, store.cosines(question.directions))


def test_everything_replaced_is_one_answer_for_all(store, question):
    found = question.after("all", Means.of(store))
    assert float(found.std(0).max()) < 1e-6 and len(found.argmax(1).unique()) == 1
    assert torch.allclose(found[0], Means.of(store).parts.sum(0) @ question.directions.T, atol=1e-6)
    assert float(question.after("all").abs().max()) < 1e-6  # and by zero, nothing is left


def test_a_part_replaced_by_its_own_value_stays(store, question):
    for number in range(3):
        own = Means.of(store, [number])
        for selector, cls in (("L1.H*, L0.MLP", None), ("all", None), ("none", "L*.H*")):
            found = question.after(selector, own, cls)[number]
            assert torch.allclose(found, question.after()[number], atol=1e-6)


@pytest.mark.parametrize("selector", ["L*.MLP", "embed", "L0.attn", "L1.H0, L0.MLP, bias", "all, !L1.H1"])
@pytest.mark.parametrize("replace", ["mean", "zero"])
def test_a_store_answers_as_a_loop_over_ablate(tiny, question, pixels, selector, replace):
    means = kit.collect(tiny, pixels_as_pictures(pixels), name="other pictures")
    reference = Means.shipped(tiny, means) if replace == "mean" else None
    found = question.after(selector, reference)
    for number, one in enumerate(pixels):
        wanted = kit.ablate(tiny, one[None], selector, replace=replace, means=means)
        cosine = wanted.embedding @ question.directions.T / wanted.before.norm()
        assert torch.allclose(found[number], cosine[0], atol=1e-6)


def pixels_as_pictures(pixels):
    """Other pictures of the same size: the reference set is not the one that is answered."""
    seed = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (6, *pixels.shape[1:]), generator=seed).to(torch.uint8)


def test_the_class_tokens_share_is_what_each_head_reads_there(tiny, store, question, pixels):
    wanted = kit.scores(tiny, pixels, question.directions, by="token")[:, :, 0]  # [image, head, text]
    found = store.read_at_cls().scores(question.directions)
    assert list(store.read_at_cls().index["kind"].unique()) == ["head"]
    assert torch.allclose(found, wanted, atol=1e-6)
    zeroed = question.after(cls="L*.H*")
    assert torch.allclose(question.after() - zeroed, wanted.sum(1), atol=1e-6)


def test_a_head_that_is_replaced_is_not_replaced_twice_at_the_class_token(store, question):
    means = Means.of(store)
    whole = question.after("L*.attn", means)
    assert torch.equal(question.after("L*.attn", means, cls="L*.H*"), whole)
    both = question.after("L0.attn", means, cls="L*.H*")
    apart = question.after("L0.attn", means) + question.after("none", means, "L1.H*") - question.after()
    assert torch.allclose(both, apart, atol=1e-6)


def test_scores_that_do_not_fit_in_memory_are_read_again_and_are_the_same(store, question, monkeypatch):
    means, edits = Means.of(store), [("L*.MLP", None, None), ("L1.H0", "L*.H*", None)]
    edits.append(([5, 1, 3], None, [3.0, 0.5, 0.0]))  # parts in another order than the store's
    asked_for = [(off, own, cls, stretch) for off, cls, stretch in edits for own in (None, means)]
    at_once = [question.after(*each) for each in asked_for]
    monkeypatch.setattr(answers_module, "HELD", 40)
    small = asked(store, question.directions, np.arange(len(store)) % 5, list("abcde"))
    for each, cosines in zip(asked_for, at_once):
        assert torch.allclose(small.after(*each), cosines, atol=1e-6)
    assert "_read" not in vars(small) and "_read" in vars(question)


class Shapes(TorchDispatchMode):
    """Notes the largest tensor that anything makes."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if isinstance(one, torch.Tensor):
                self.largest = max(self.largest, one.numel())
        return made


def test_d5_no_vector_of_a_token_and_head_is_built(stickers):
    images = kit.world.draw(16, seed=3).images
    kit.check(stickers)  # which a first use would make meanwhile
    plain, asked = Shapes(), Shapes()
    with plain:
        stickers.encode_image(stickers.preprocess(images))
    with asked:
        kit.collect(stickers, images, "store", "16 scenes", batch=16, selector="all", tokens="cls")
    tokens = stickers.prefix_tokens + stickers.grid[0] * stickers.grid[1]
    heads = 16 * kit.check(stickers).kinds["head"] * stickers.embed_dim
    assert asked.largest <= max(plain.largest, heads)
    assert asked.largest < heads * tokens / 4


def test_d10_labels_and_answers_stay_together_past_damage_and_order(tiny, folder, store):  # noqa: F811
    """The released code counts labels out by position (`i // 50`); ours travel with what was stored."""
    places = [str(name).split("/")[0] for name in store.files]
    assert len(store.damaged) == 2 and list(store.labels["folder"]) == places
    names = ["cats", "dogs"]
    directions = torch.nn.functional.normalize(store.vectors(selector="L1.MLP")[:2, 0], dim=1)
    all_asked = asked(store, directions, store.labels["folder"].map(names.index), names)
    assert [names[t] for t in all_asked.truth] == places
    picked = store.labels["folder"].map({"dogs": 1})  # cats are not asked
    some = asked(store, directions, picked.fillna(-1).astype(int), names)
    assert [places[i] for i in some.images] == ["dogs"] * len(some.images)
    assert torch.equal(some.after("L1.H0"), all_asked.after("L1.H0")[some.images])


def test_d17_the_reference_set_is_named_and_is_an_argument(tiny, store, question):
    some = Means.of(store, slice(0, 3), name="three pictures")
    whole = Means.of(store)
    assert (some.name, whole.name) == ("three pictures", "pictures")
    assert not torch.allclose(question.after("L*.MLP", some), question.after("L*.MLP", whole), atol=1e-5)
    rows = store.vectors(slice(0, 3), "L0.MLP")[:, 0]
    assert torch.allclose(some.of_parts(["L0.MLP"])[0], rows.mean(0), atol=1e-6)


def test_what_does_not_fit_is_said(tiny, stickers, folder, store, question, tmp_path):  # noqa: F811
    with pytest.raises(KitError, match='"pictures" has no means of what heads read at the class token'):
        bare = Means.of(store)
        replace(bare, cls=None, heads=()).of_heads(["L0.H0"])
    with pytest.raises(KitError, match="these means of a reference set are of"):
        question.after("L0.H0", Means.shipped(stickers))
    with pytest.raises(KitError, match="has no means of embed; it has"):
        heads = kit.collect(tiny, read_folder(folder), "store", "heads", selector="L*.H*")
        question.after("embed", Means.of(heads))
    with pytest.raises(KitError, match='"heads" does not keep what heads read at the class token'):
        heads.read_at_cls()
    with pytest.raises(KitError, match="give each answer one name and one direction"):
        asked(store, question.directions, np.full(len(store), 7), list("abcde"))
    with pytest.raises(KitError, match='no image of "pictures" has a right answer to "letter"'):
        asked(store, question.directions, np.full(len(store), -1), list("abcde"), "letter")
    with pytest.raises(KitError, match='no tokens="cls" with keep="moments"; there is'):
        kit.collect(tiny, torch.zeros(2, 3, 32, 32).to(torch.uint8), "moments", "two", tokens="cls")
    with pytest.raises(KitError, match="holds a store where tokens is"):
        merge_stores(tiny, [store, heads_of_others(tiny)], tmp_path / "both")


def heads_of_others(tiny):
    images = torch.randint(0, 256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    return kit.collect(tiny, images, "store", "three", selector="all", tokens=None)


def test_a_model_that_pools_patches_has_no_class_token_to_read(load):
    model = load(
        "timm/vit_tiny_patch16_224", "random", config={"img_size": 32, "depth": 2, "global_pool": "avg"}
    )
    images = torch.zeros(2, 3, 32, 32).to(torch.uint8)
    with pytest.raises(KitError, match='does not pool one class token, so no head reads "the class token'):
        kit.collect(model, images, "store", "two", tokens="cls")
