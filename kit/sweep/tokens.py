"""Notebook 16 on real data: where heads read what they write along their first texts (figure 6)."""

import base64
import io

import numpy as np
import pandas as pd
import torch
from PIL import Image

from kit.figures import Figure, Maps, Table
from kit.figures.strip import data_url
from kit.parts import scores
from kit.projections import textspan
from kit.sweep.spans import Heads
from kit.sweep.work import Work

IMAGES, HEADS = 4, 6


def run(work: Work) -> dict:
    """Maps of the heads whose first texts explain most, one head for each property, over a few pictures.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 6: the joint decomposition into heads and tokens.
    """
    store, name = work.store("imagenet"), next(iter(work.banks))
    heads = Heads.of(work.model.layers, work.settings.last)
    bank = work.banks[name]
    table = textspan(store.moments(selector=heads.last), bank, 1).table
    table = table.sort_values("share", ascending=False, kind="stable")
    some = table.groupby("property", sort=False).head(1).head(HEADS)
    vectors = torch.stack([bank.vectors[bank.texts.index(text)] for text in some["text"]])
    images = work.sets["imagenet"]
    first = store.labels.groupby("y", sort=False).head(1).index  # one picture of a class
    rng = np.random.default_rng(work.settings.seed)
    chosen = sorted(rng.choice(first, min(IMAGES, len(first)), replace=False).tolist())
    numbers = [images.names.index(store.files[n]) for n in chosen]
    pixels = work.model.preprocess([images[n] for n in numbers])
    values = scores(work.model, pixels, vectors, by="token", selector=", ".join(some["part"]))
    order = [sorted(some["part"], key=_place).index(part) for part in some["part"]]
    own = values.detach().cpu()[:, order, :, range(len(order))].numpy()  # [head, image, token]
    pictures = work.model.viewed([images[n] for n in numbers])
    prefix, grid = work.model.prefix_tokens, work.model.grid
    maps = own[:, :, prefix:].reshape(*own.shape[:2], *grid)
    return {
        "bank": name,
        "heads": [
            {"part": r.part, "text": r.text, "property": r.property, "share": round(float(r.share), 6)}
            for r in some.itertuples()
        ],
        "pictures": [
            {"name": images.names[n], "class": store.labels["class_name"][c], "picture": data_url(picture)}
            for n, c, picture in zip(numbers, chosen, pictures)
        ],
        "scores": np.round(own.sum(2).T, 6).tolist(),  # [image][head]
        "maps": np.round(maps.swapaxes(0, 1), 8).tolist(),  # [image][head][row][col]
    }


def _place(part: str) -> tuple[int, ...]:
    """Layer and head, in which order parts come."""
    return tuple(int(word[1:]) for word in part.split("."))


def show(result: dict) -> list[Figure]:
    """What the heads are described by, pictures beside their maps, and what each head adds in all."""
    heads, pictures = pd.DataFrame(result["heads"]), result["pictures"]
    says = f"Bank: {result['bank']}. Of each property the head whose first text explains most of it."
    found = [Table(heads, percent=["share"], title="Heads, and the texts that describe them", says=says)]
    limit, named = float(np.abs(result["maps"]).max()) or None, ("the picture", *heads["part"])
    for one, maps in zip(pictures, result["maps"]):
        values = np.concatenate([np.full_like(maps[:1], np.nan), maps])
        held = io.BytesIO(base64.b64decode(one["picture"].partition(",")[2]))
        found.append(
            Maps(
                values, [Image.open(held, formats=["WEBP"])], "share of a cosine", named, limit=limit,
                title=one["class"],
                says="Red patches add to the text of a head, blue ones take away. One scale for all.",
            )
        )  # fmt: skip
    scores = pd.DataFrame(result["scores"], columns=heads["part"])
    scores.insert(0, "picture", [one["class"] for one in pictures])
    return [*found, Table(scores, digits=4, title="What each head adds to the cosine, over all tokens")]
