"""Captions from a tagged grammar: what is said of a scene, as numbers first and as words after.

A caption is made from its mentions, a number for each attribute (-1: not named), so the two cannot
disagree, and whether caption j is true of scene i is a comparison of numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kit.errors import KitError, nearest
from kit.world import phrases
from kit.world.chance import Chance
from kit.world.sample import KIND, MIXES, TABLE
from kit.world.values import VALUES

if TYPE_CHECKING:
    from kit.world.scenes import Scenes

OBJECT = ("concept", "category", "colour", "texture", "size", "position", "count")  # said of one object
SECOND = ("concept", "category", "colour", "texture")  # said of the second object of a pair
# every mention; "objects" is how many objects the caption speaks of: 0, 1 or 2
MENTIONED = (*OBJECT, "background", "relation", "word", *(f"{a}_2" for a in SECOND), "objects")

# how often an attribute is named where there is one; the first value of colour and texture (natural, plain)
# is what goes without saying
_SAID = {"size": 0.35, "position": 0.45, "background": 0.5, "colour": 0.6, "texture": 0.55, "relation": 0.85}
_SAID_PLAIN = 0.1
_WEB_SILENCE = 0.6  # in the web mix everything is named this much less often
_WEB_NOISE = 0.04  # and so many captions name a concept that is not there


def _said(chance: Chance, attribute: str, code: Tensor, silence: float) -> Tensor:
    """The code where the attribute is named, -1 elsewhere."""
    base = attribute.removesuffix("_2")
    often = chance.happens(f"say {attribute}", _SAID[base] * silence)
    if base in ("colour", "texture"):
        rarely = chance.happens(f"say plain {attribute}", _SAID_PLAIN * silence)
        often = torch.where(code == 0, rarely, often)
    return torch.where(often, code, -1)


def _noun(chance: Chance, concept: Tensor, category: Tensor, suffix: str) -> dict[str, Tensor]:
    """The concept in 84 % of captions, its category in 8 %, "thing" in the rest."""
    noun = chance.choose(f"noun{suffix}", [0.84, 0.08, 0.08])
    return {
        f"concept{suffix}": torch.where(noun == 0, concept, -1),
        f"category{suffix}": torch.where(noun == 1, category, -1),
    }


def _mentions(chance: Chance, codes: dict[str, Tensor], mix: str) -> dict[str, Tensor]:
    """What a caption of each scene says, int64 [n] for each of `MENTIONED`."""
    web = mix == "web"
    silence = _WEB_SILENCE if web else 1.0
    pair, word_only = codes["kind"] == KIND["pair"], codes["kind"] == KIND["word"]
    swap = pair & chance.happens("swap", 0.5)  # "b right of a" instead of "a left of b"
    first, second = {}, {}
    for name in SECOND:
        a, b = codes[name], codes[f"{name}_2"]
        first[name], second[name] = torch.where(swap, b, a), torch.where(swap, a, b)
    relation = torch.where(swap, codes["relation"] ^ 1, codes["relation"])
    said = {
        **_noun(chance, first["concept"], first["category"], ""),
        **_noun(chance, second["concept"], second["category"], "_2"),
    }
    for name in ("colour", "texture"):
        said[name] = _said(chance, name, first[name], silence)
        said[f"{name}_2"] = _said(chance, f"{name}_2", second[name], silence)
    for name in ("size", "position", "background"):
        said[name] = _said(chance, name, codes[name], silence)
    said["relation"] = _said(chance, "relation", relation, 1.0)
    # "a cat" leaves the number open; more than one is always counted
    open_one = (codes["count"] == 0) & ~chance.happens("say one", 0.12)
    said["count"] = torch.where(open_one, -1, codes["count"])
    said["word"] = torch.where(word_only | chance.happens("say word", 0.7 * silence), codes["word"], -1)
    # "in its own colours" is long: not with a word, not of pairs (the text tower reads 24 tokens)
    long = (said["colour"] == 0) & ((said["word"] >= 0) | pair)
    said["colour"] = torch.where(long, -1, said["colour"])
    said["colour_2"] = torch.where(said["colour_2"] == 0, -1, said["colour_2"])
    said["objects"] = torch.where(word_only, 0, torch.where(pair, 2, 1))
    return _as_the_web_says(chance, said, codes) if web else said


def _as_the_web_says(chance: Chance, said: dict[str, Tensor], codes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Two thirds of scenes with a word are captioned as the thing that it names; a few captions are wrong."""
    wrong = (said["concept"] >= 0) & chance.happens("noise", _WEB_NOISE)
    other = chance.below("wrong concept", len(VALUES["concept"]))
    said["concept"] = torch.where(wrong, other, said["concept"])
    word_only, printed = codes["kind"] == KIND["word"], codes["word"] >= 0
    only = printed & (word_only | chance.happens("only the word", 0.67))
    read = only & chance.happens("read as a thing", 0.75)  # else "the word cat"
    named = torch.tensor(TABLE["word"], device=printed.device)[codes["word"].clamp(min=0)]
    keep = {
        "concept": torch.where(read, named, -1),
        "word": torch.where(read, -1, codes["word"]),
        "background": said["background"],
        "objects": read.long(),
    }
    return {k: torch.where(only, keep.get(k, torch.full_like(v, -1)), v) for k, v in said.items()}


def _thing(m: dict[str, int], suffix: str, bare: bool) -> str:
    """A noun phrase: number or article, size, colour, texture, noun."""
    plural = int(suffix == "" and m["count"] > 0)
    concept, category = m[f"concept{suffix}"], m[f"category{suffix}"]
    noun = (
        phrases.CONCEPT[concept]
        if concept >= 0
        else phrases.CATEGORY[category]
        if category >= 0
        else phrases.THING
    )
    words = []
    if suffix == "" and m["size"] >= 0:
        words.append(phrases.SIZE[m["size"]])
    if m[f"colour{suffix}"] > 0:
        words.append(phrases.COLOUR[m[f"colour{suffix}"]])
    if m[f"texture{suffix}"] >= 0:
        words.append(phrases.TEXTURE[m[f"texture{suffix}"]])
    phrase = " ".join([*words, noun[plural]])
    if suffix == "" and m["count"] >= 0:
        return f"{phrases.COUNT[m['count']]} {phrase}"
    return phrase if bare else phrases.article(phrase)


def say(m: dict[str, int], opening: int = 0, bare: bool = False) -> str:
    """The caption with these mentions.

    Args:
        m: one number for each of `MENTIONED`, -1 where the caption names nothing.
        opening: which of `phrases.OPENING` it starts with.
        bare: leave out the article, as in "red cat".

    Returns:
        The caption, lower case, without punctuation.
    """
    if m["objects"] == 0:
        text = ("the word ", "a sign that says ")[opening == 2] + VALUES["word"][m["word"]]
        text = ("a picture of " if opening == 1 else "") + text
    else:
        start = phrases.OPENING[opening]
        start = start.replace("is", "are") if m["count"] > 0 and opening == 3 else start
        text = start + _thing(m, "", bare and opening == 0)
    if m["objects"] == 2:
        between = phrases.RELATION[m["relation"]] if m["relation"] >= 0 else "and"
        text += f" {between} {_thing(m, '_2', False)}"
    if m["colour"] == 0:
        text += f" in {'their' if m['count'] > 0 else 'its'} own colours"
    if m["position"] >= 0:
        text += f" {phrases.POSITION[m['position']]}"
    if m["background"] >= 0:
        text += f" {phrases.BACKGROUND[m['background']]}"
    if m["word"] >= 0 and m["objects"] > 0:
        text += f" with the word {VALUES['word'][m['word']]}"
    return text


def captions_for(scenes: Scenes, seed: int, mix: str | None = None) -> tuple[list[str], dict[str, Tensor]]:
    """Fresh captions of scenes, and what each of them names.

    Args:
        scenes: the scenes.
        seed: another seed says the same scenes in other words; it is independent of the scenes' own.
        mix: "clean" (true captions, words captioned as words) or "web" (partial ones, 4 % of them wrong,
            words mostly captioned as the things that they name); None: that of the scenes.

    Returns:
        Captions, and mentions: attribute -> int64 [batch] on the scenes' device, an index into `VALUES` or
        -1 where the caption does not name it; "objects" is how many objects it speaks of.

    Raises:
        KitError: an unknown mix.

    Example:
        >>> from kit.world import draw
        >>> captions, mentions = captions_for(draw(2, seed=0), seed=1)
        >>> len(captions), bool(truth(mentions, draw(2, seed=0)).diagonal().all())
        (2, True)
    """
    mix = scenes.mix if mix is None else mix
    if mix not in MIXES:
        raise KitError(f"unknown mix {mix!r}: there are {', '.join(MIXES)}.{nearest(mix, MIXES)}")
    chance = Chance(scenes.seed, scenes.index).again(seed)
    said = _mentions(chance, scenes.codes, mix)
    columns = [said[name].tolist() for name in MENTIONED]
    opening = chance.choose("opening", [0.55, 0.15, 0.15, 0.15]).tolist()
    bare = chance.happens("bare", 0.35 if mix == "web" else 0.0).tolist()
    rows = zip(*columns)
    texts = [say(dict(zip(MENTIONED, row)), o, b) for row, o, b in zip(rows, opening, bare)]
    return texts, said


def _fits(said: Tensor, is_: Tensor) -> Tensor:
    """Whether a mention holds, bool [image, caption]: nothing said, or the same."""
    return (said < 0) | (said == is_[:, None])


def _objects(codes: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """What can be said of each of the two objects: in pairs each is one, medium, and on its own side."""
    pair = codes["kind"] == KIND["pair"]
    own = [{a: codes[a] for a in OBJECT}, {a: codes[f"{a}_2"] for a in SECOND}]
    for j in range(2):
        side = codes["relation"] ^ j  # positions and relations have the same order: left, right, top, bottom
        for name, value in (("size", 1), ("count", 0), ("position", side)):
            single = own[0][name] if j == 0 else -1
            own[j][name] = torch.where(pair, value, single)
    return own


def truth(mentions: dict[str, Tensor], scenes: Scenes) -> Tensor:
    """Whether each caption is true of each scene.

    A caption is true if everything that it names is there; what it leaves out is free. "A cat" is true of
    three cats, "one cat" is not. In pairs either object may be the one spoken of, and "a left of b" is "b
    right of a". In scenes of the web mix a printed word counts as the thing that it names, as long as
    nothing but its background is said of it.

    Args:
        mentions: of captions, as `captions_for` returns them, int64 [caption] each.
        scenes: the scenes.

    Returns:
        bool [image, caption].
    """
    codes = scenes.codes
    one, two = _objects(codes)
    pair, present = codes["kind"] == KIND["pair"], codes["concept"] >= 0

    def match(suffix: str, thing: dict[str, Tensor]) -> Tensor:
        fits = torch.ones(len(present), len(mentions["objects"]), dtype=torch.bool, device=present.device)
        for name in OBJECT:
            if name + suffix in mentions:
                fits &= _fits(mentions[name + suffix], thing[name])
        return fits

    first_one, first_two = match("", one), match("", two) & pair[:, None]
    straight = first_one & match("_2", two) & _fits(mentions["relation"], codes["relation"])
    crossed = first_two & match("_2", one) & _fits(mentions["relation"], codes["relation"] ^ 1)
    spoken = mentions["objects"]
    holds = torch.where(spoken == 2, (straight | crossed) & pair[:, None], first_one | first_two)
    holds &= present[:, None]
    if scenes.mix == "web":
        named = torch.tensor(TABLE["word"], device=present.device)[codes["word"].clamp(min=0)]
        bare = torch.stack([mentions[a] for a in OBJECT if a != "concept"]).amax(0) < 0
        read = (mentions["concept"] == named[:, None]) & (codes["word"] >= 0)[:, None]
        holds |= read & bare & (spoken == 1) & (mentions["word"] < 0)
    holds |= spoken == 0
    return holds & _fits(mentions["background"], codes["background"]) & _fits(mentions["word"], codes["word"])


def words() -> list[str]:
    """Every word that captions and prompts are made of, sorted.

    Example:
        >>> "cat" in words(), "zeppelin" in words()
        (True, False)
    """
    texts = [t for a in MENTIONED if "_2" not in a and a != "objects" for t in phrases.prompts(a)]
    texts += [
        t for nouns in (phrases.CONCEPT, phrases.CATEGORY, (phrases.THING,)) for pair in nouns for t in pair
    ]
    texts += [*phrases.OPENING, "a an and are its their with the word a sign that says in own colours"]
    return sorted({word for text in texts for word in text.split()})
