"""A tower whose parts are read in the space of a CLIP, so that any text can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from kit.data.sets import Images
from kit.errors import KitError, nearest
from kit.models import load
from kit.models.build import free_memory
from kit.models.model import Model
from kit.parts.checked import checked_run
from kit.parts.collect import collect
from kit.parts.selector import select
from kit.parts.stores import Store
from kit.projections.aligner_files import inputs_of, read_aligner, shipped_aligner, shipped_file
from kit.projections.aligners import MAPS, Aligner, fit

OFFERED = "cosine"  # the map that parts are read by where none is named
BIAS = "aligner.bias"  # what the maps add once, as a part
FROM_A_FILE = (
    "Where texts are directions of a file, map with kit.projections.fitted(model, clip, "
    "*kit.projections.seen_by_both(model, clip, images)), and ask with "
    "kit.models.directions(tower, (names, array))."
)


def align(
    model: Model | str,
    clip: Model | str | None = None,
    images: Images | None = None,
    kind: str = OFFERED,
    path: str | Path | None = None,
    batch: int = 64,
    **options,
) -> Aligned:
    """A tower's parts in the space of a CLIP: any text can be asked of any of them.

    With a name of a shipped tower alone, the maps that come with it. With a CLIP and pictures, maps are
    fitted now: each tower sees every picture once, and all kinds of maps are fitted on what was kept.

    Which map to take depends on the question. `"shared"`, one matrix for all parts, says what a part *adds*
    to the sum; it is the only one that the sum determines, and the aligned tower is then a tower as any
    other. A matrix for each part says what the part *carries*; it depends on how it was fitted, wherever
    parts share what they vary by (`kit.projections.shared_rank`; `disagreement` of two fits shows how much).
    Notebook 21 holds both against a world whose truth is known.

    Args:
        model: whose parts are mapped; any tower that `kit.load` takes.
        clip: into whose space, with a text tower.
        images: pictures to fit on, anything that `kit.collect` takes: thousands, none of which is looked at
            later. No labels are needed.
        kind: see `kit.projections.fit`.
        path: a folder in which both passes are kept, so that another kind, another tower with the same
            CLIP, or the same call after an interruption costs none of them again. None forgets them.
        batch: pictures at once.
        options: of the fit: `isometry`, `epochs`, `seed`, `start`, `progress`.

    Returns:
        `Aligned`, a `Model` that answers `encode_text` through the CLIP.

    Raises:
        KitError: a tower that ships no maps, maps of other weights, a CLIP without text tower, pictures
            that one of both cannot read, too little memory.

    Source:
        Balasubramanian et al. 2024, arXiv 2406.01583, CompAlign; see `kit.projections.fit` for what differs.

    Example:
        >>> import kit
        >>> tower = align("stickers-deit")
        >>> run = kit.run(tower, tower.preprocess(kit.world.gallery()[:1]))
        >>> run.scores(tower.encode_text(["a cat"])).shape[1] == len(run.index)
        True
    """
    model = load(model) if isinstance(model, str) else model
    if kind not in MAPS:
        raise KitError(f'no map "{kind}": there are {", ".join(MAPS)}.{nearest(kind, list(MAPS))}')
    if isinstance(model, Aligned):
        raise KitError(f'"{model.name}" is aligned already; align its base: kit.align(model.base, ...).')
    if (clip is None) != (images is None):
        raise KitError("maps are fitted on pictures that a CLIP has seen too; give both clip and images.")
    if clip is None:
        if options or path is not None:
            raise KitError("maps that ship are fitted already; give a CLIP and pictures to fit your own.")
        return load_aligned(model, shipped_aligner(model, kind))
    clip = load(clip) if isinstance(clip, str) else clip
    if not clip.has_text:
        raise KitError(f"{clip.no_text_reason} {FROM_A_FILE}")
    clip.encode_text("a picture")  # what is wrong with the text tower is said before any pass
    store, target = seen_by_both(model, clip, images, path, batch)
    return fitted(model, clip, store, target, kind, **options)


def load_aligned(model: Model, path: str | Path, clip: Model | None = None) -> Aligned:
    """An aligned tower with maps from a file (`kit.projections.save_aligner`).

    Args:
        model: the tower that they were fitted for.
        path: the file.
        clip: the CLIP into whose space they map; None loads it by the name that the file says.

    Raises:
        KitError: no file of maps, or maps of other weights than those of the tower or of the CLIP.
    """
    aligner, names, name, weights = read_aligner(model, path)
    clip = load(name) if clip is None else clip
    if clip.weights_hash != weights:
        raise KitError(
            f'these maps lead into "{name}" with weights {weights[:8]}, but "{clip.name}" has weights '
            f"{clip.weights_hash[:8]}; fit them anew with kit.align(model, clip, images)."
        )
    return aligned(model, clip, aligner, names)


def seen_by_both(
    model: Model, clip: Model, images: Images, path: str | Path | None = None, batch: int = 64
) -> tuple[Store, Tensor]:
    """Pictures as a tower's parts and as a CLIP's representation, in one pass of each.

    Args:
        model: whose parts are kept.
        clip: what they are to be mapped to.
        images, path, batch: as for `align`.

    Returns:
        A store of all parts but constants, and unit rows of the CLIP [image, embed] for the same pictures.

    Raises:
        KitError: pictures that only one of both could read.
    """
    places = [None if path is None else Path(path) / each.weights_hash[:16] for each in (model, clip)]
    store = collect(model, images, "store", "pictures to fit on", batch=batch, path=places[0])
    seen = collect(clip, images, "store", "pictures to fit on", batch=batch, path=places[1], selector="embed")
    if not np.array_equal(store.rows, seen.rows):
        raise KitError(
            f'"{model.name}" read {len(store)} of these pictures and "{clip.name}" {len(seen)}; give only '
            "pictures that both can read."
        )
    return store, normalize(torch.from_numpy(seen.arrays["embedding"][seen.rows]), dim=-1)


def fitted(
    model: Model, clip: Model, store: Store, target: Tensor, kind: str = OFFERED, **options
) -> Aligned:
    """The aligned tower, from what `seen_by_both` gives; options as for `kit.projections.fit`.

    Raises:
        KitError: a store of another model, too little memory for all parts at once.
    """
    if store.weights_hash != model.weights_hash:
        raise KitError(
            f'the store is of "{store.model}" with weights {store.weights_hash[:8]}, but "{model.name}" has '
            f"weights {model.weights_hash[:8]}; collect it anew."
        )
    needed, free = 8 * len(store) * len(store.index) * model.embed_dim, free_memory()
    if needed > free and kind != "shared":
        raise KitError(
            f"parts of {len(store):,} pictures at once take {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free; give fewer pictures."
        )
    aligner = fit(kind, inputs_of(store, kind), target, **options)
    return aligned(model, clip, aligner, () if kind == "shared" else tuple(store.index["name"]))


def aligned(model: Model, clip: Model, aligner: Aligner, names: tuple[str, ...]) -> Aligned:
    """A tower with its maps: `names` are the parts that they map, in order; none for a shared one."""
    aligner = Aligner(
        aligner.kind, *(t.to(model.device, model.dtype) for t in (aligner.weights, aligner.bias))
    )
    shared = aligner.kind == "shared"
    return Aligned(
        name=f"{model.name} in {clip.name}",
        pretrained=model.pretrained,
        source=model.source,
        library_model=model.library_model,
        tower=_Turned(model.tower, aligner) if shared else model.tower,
        transform=model.transform,
        embed_dim=aligner.bias.shape[0],
        image_size=model.image_size,
        grid=model.grid,
        prefix_tokens=model.prefix_tokens,
        text_tower=clip.text_tower,
        no_text_reason=clip.no_text_reason,
        trained=model.trained and clip.trained,
        notes=[*model.notes, _said(model, clip, aligner)],
        base=model,
        clip=clip,
        aligner=aligner,
        names=names,
    )


def _said(model: Model, clip: Model, aligner: Aligner) -> str:
    each = "one map for all parts" if aligner.kind == "shared" else "a map for each part"
    read = f"Texts are read by {clip.name}" if clip.has_text else f"Directions are those of {clip.name}"
    return (
        f'{read}; {each} of {model.name} ("{aligner.kind}"), so a score says what the '
        f"part has in common with what {clip.name} sees."
    )


class _Turned(nn.Module):
    """A tower, its representation made unit, and one linear map."""

    def __init__(self, tower: nn.Module, aligner: Aligner):
        super().__init__()
        self.tower = tower
        dim, embed = aligner.weights.shape[1:]
        self.turn = nn.Linear(dim, embed, device=aligner.bias.device, dtype=aligner.bias.dtype)
        with torch.no_grad():
            self.turn.weight.copy_(aligner.weights[0].T)
            self.turn.bias.copy_(aligner.bias)
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [batch, 3, height, width] to the other space, [batch, embed]."""
        found = self.tower(pixels)
        return self.turn(found / found.norm(dim=-1, keepdim=True))


@dataclass(eq=False, repr=False)
class Aligned(Model):
    """A tower whose parts are mapped into the space of a CLIP. Made by `kit.align`.

    With one map for all parts it is a tower as any other. With a map for each part its representation is the
    sum of what the maps make of the parts; runs, scores and maps are as for any model, while what runs a part
    of the tower again (total effects, class activation, attention passes) is asked of `base`.

    Attributes:
        base: the tower as it is.
        clip: whose space and texts.
        aligner: the maps.
        names: of the mapped parts; none where one map is shared.
    """

    base: Model = None
    clip: Model = None
    aligner: Aligner = None
    names: tuple[str, ...] = ()

    @property
    def runs_itself(self) -> bool:
        return self.aligner.kind != "shared"

    @property
    def line(self) -> str:
        """The Python that makes it again: of what ships, whole; else the pictures have to be filled in."""
        if self.base.pretrained is None and shipped_file(self.base.name, self.aligner.kind).is_file():
            return f"kit.align({self.base.name!r}, kind={self.aligner.kind!r})"
        made = f"{self.base.line}, {self.clip.line}, images, {self.aligner.kind!r}"
        return f"kit.align({made})  # images: those it was fitted on"

    @property
    def layers(self) -> int:
        """Number of attention modules of the tower."""
        return self.base.layers

    @property
    def heads(self) -> tuple[int, ...]:
        """Number of heads of each layer of the tower."""
        return self.base.heads

    @property
    def weights_hash(self) -> str:
        """As for any model, of the tower; with a map for each part, of the tower and the maps."""
        return f"{self.base.weights_hash}+{self.aligner.digest}" if self.runs_itself else super().weights_hash

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row for each mapped part as in `Run.index`, and one for what the maps add once."""
        known = self._known()
        rows = known.iloc[[known["name"].tolist().index(name) for name in self.names]]
        last = pd.DataFrame({"name": [BIAS], "kind": ["bias"], "layer": [pd.NA], "head": [pd.NA]})
        return pd.concat([rows, last.astype(known.dtypes.to_dict())], ignore_index=True)

    def _known(self) -> pd.DataFrame:
        from kit.parts.frozen import frozen_graph

        return frozen_graph(self.base).index

    def own_run(self, pixels: Tensor, tokens: bool) -> AlignedRun:
        """A run of the tower whose parts are mapped."""
        return AlignedRun(self, checked_run(self.base, pixels, tokens))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """The mapped representation of each image, [batch, embed]; see `Model.encode_image`."""
        if not self.runs_itself:
            return super().encode_image(pixels)
        return self.own_run(pixels, tokens=False).representation

    def store(self, store: Store) -> Store:
        """A store of the tower's parts as one of the mapped parts, in memory.

        Args:
            store: of `base`, with every mapped part.

        Raises:
            KitError: a store of another model, or one that lacks parts.
        """
        if store.weights_hash != self.base.weights_hash:
            raise KitError(f'the store is of "{store.model}", not of "{self.base.name}" as it is now.')
        if not self.runs_itself:
            raise KitError(f'collect one of "{self.name}" itself: kit.collect(model, images, "store", ...).')
        if tuple(store.index["name"]) != self.names:
            raise KitError(
                f"the store keeps {len(store.index)} parts, but {len(self.names)} are mapped; collect it "
                "without a selector."
            )
        parts = self.aligner.parts(store.vectors().to(self.aligner.bias))
        total = parts.sum(1) + self.aligner.bias
        spread = np.full((len(store), 1), np.nan, np.float32)
        kept = {
            "others": parts,
            "embedding": total,
            "scalars": torch.cat([total.norm(dim=1, keepdim=True).cpu(), torch.from_numpy(spread)], 1),
            "sha256": store.arrays["sha256"][store.rows],
        }
        arrays = {k: v.cpu().numpy() if isinstance(v, Tensor) else v for k, v in kept.items()}
        index = self.index.iloc[:-1].reset_index(drop=True)
        facts = store.facts | {"heads": [], "others": list(range(len(index)))}
        return replace(
            store, facts=facts, model=self.name, weights_hash=self.weights_hash, index=index, arrays=arrays,
            rows=np.arange(len(store)), gain=None, stamps=None,
        )  # fmt: skip

    def double(self) -> Aligned:
        """A deep copy that computes in float64."""
        found = aligned(self.base.double(), self.clip, self.aligner, self.names)
        found.text_tower = self.clip.double().text_tower
        return found


class AlignedRun:
    """A run whose parts are mapped into a CLIP's space; what it gives is what `kit.parts.runs.Run` gives.

    Attributes:
        model: the aligned tower.
        base: the run of the tower itself.
        representation: the sum of the mapped parts, [batch, embed].
        norm: its length, [batch].
        index: one row for each part: name, kind, layer, head.
    """

    def __init__(self, model: Aligned, base):
        self.model, self.base, self.index = model, base, model.index
        self.pixels, self.tokens, self.frozen = base.pixels, base.tokens, base.frozen
        names = base.index["name"].tolist()
        parts = base.vectors()[:, [names.index(name) for name in model.names]]
        mapped = model.aligner.parts(parts / base.norm[:, None, None])  # [batch, part, embed]
        bias = model.aligner.bias.expand(len(mapped), 1, -1)
        self._vectors = torch.cat([mapped, bias], 1)
        self.representation = self._vectors.sum(1)
        self.norm = self.representation.norm(dim=-1)

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches."""
        return self.base.prefix

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.base.grid

    @property
    def has_positions(self) -> bool:
        """Whether there are maps by position."""
        return self.base.has_positions

    def refused(self, by: str = "source") -> dict[int, str]:
        """Layers whose maps are refused, as of the tower itself."""
        return self.base.refused(by)

    def pattern_shares(self, layer: int) -> Tensor:
        """How much the representation's slots read each token, as of the tower itself."""
        return self.base.pattern_shares(layer)

    def vectors(self, selector: str | None = None) -> Tensor:
        """What each part adds to the representation, [batch, part, embed]."""
        return self._vectors if selector is None else self._vectors[:, select(self.index, selector)]

    def scores(self, directions: Tensor, normalize: bool = True, selector: str | None = None) -> Tensor:
        """As `Run.scores`, [batch, part, text]."""
        values = self.vectors(selector) @ self._directions(directions).T
        return values / self.norm[:, None, None] if normalize else values

    def token_vectors(self, selector: str | None = None) -> Tensor:
        """What each selected head adds from each source token, [batch, part, token, embed]."""
        return self.maps(torch.eye(self.representation.shape[1]), selector, normalize=False)

    def maps(
        self, directions: Tensor, selector: str | None = None, normalize: bool = True, by: str = "source"
    ) -> Tensor:
        """As `Run.maps`, [batch, head part, token, text]: the tower's, for what a text is to each part."""
        directions, length = self._directions(directions), self.base.norm
        if normalize:
            length = length * self.norm
        found = [
            self.base.maps(directions @ self.model.aligner.weights[part].T, name, normalize=False, by=by)
            for part, name in self._heads(selector)
        ]
        if not found:
            return self.base.maps(
                directions @ self.model.aligner.weights[0].T, "none", normalize=False, by=by
            )
        return torch.cat(found, 1) / length[:, None, None, None]

    def own_maps(self, directions: Tensor, selector: str | None = None) -> Tensor:
        """As `Run.own_maps`, [batch, token]: each image for its own direction, heads together."""
        directions, total = self._directions(directions), 0.0
        for part, name in self._heads(selector):
            total = total + self.base.own_maps(directions @ self.model.aligner.weights[part].T, name)
        if isinstance(total, float):
            return self.base.own_maps(directions @ self.model.aligner.weights[0].T, "none")
        return total / self.base.norm[:, None]

    def _heads(self, selector: str | None) -> list[tuple[int, str]]:
        """Number and name of the selected heads."""
        rows = range(len(self.index)) if selector is None else select(self.index, selector)
        return [(row, self.index["name"].iloc[row]) for row in rows if self.index["kind"].iloc[row] == "head"]

    def _directions(self, directions: Tensor) -> Tensor:
        if directions.shape[-1] != self.representation.shape[1]:
            raise KitError(
                f"directions should be [text, {self.representation.shape[1]}], the width of "
                f'"{self.model.clip.name}", but their shape is {list(directions.shape)}.'
            )
        return directions.to(self.representation)
