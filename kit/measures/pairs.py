"""What a unit carries, judged by pairs of scenes that differ in one factor alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.errors import KitError, nearest

TAILS = (0.025, 0.975)  # of a 95 % interval


@dataclass(frozen=True)
class PairEffects:
    """How much each unit changes with each factor, and with no other.

    Attributes:
        values: effect of each factor on each unit, float64 [factor, unit].
        draws: the same on pairs that are drawn again, float64 [draw, factor, unit].
        factors: names, in the order of the rows.
    """

    values: np.ndarray
    draws: np.ndarray
    factors: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """One row for each factor and unit: `factor`, `unit`, `effect`, `low`, `high`, and the same of
        `selectivity`."""
        rows = []
        low, high = np.quantile(self.draws, TAILS, axis=0)
        for row, name in enumerate(self.factors):
            own = self.selectivity(name).rename(columns=lambda c: f"selectivity_{c}".removesuffix("_value"))
            effect = {"effect": self.values[row], "low": low[row], "high": high[row]}
            rows.append(pd.DataFrame({"factor": name, "unit": own.index, **effect}).join(own))
        return pd.concat(rows, ignore_index=True)

    def selectivity(self, factor: str) -> pd.DataFrame:
        """How much more each unit changes with one factor than with the others, -1 to 1.

            (own − mean of the others) / (own + mean of the others):

        1 where nothing but the factor changes the unit, 0 where it does no more than another one.

        Args:
            factor: one of `factors`.

        Returns:
            One row for each unit: `value`, and `low` and `high` of the 95 % interval (bootstrap over pairs).

        Raises:
            KitError: a factor that is not there.
        """
        if factor not in self.factors:
            known = list(self.factors)
            raise KitError(f'no factor "{factor}": there are {", ".join(known)}.{nearest(factor, known)}')
        own = self.factors.index(factor)
        value, drawn = (_contrast(held, own) for held in (self.values[None], self.draws))
        low, high = np.nanquantile(drawn, TAILS, axis=0)
        return pd.DataFrame({"value": value[0], "low": low, "high": high})


def _contrast(effects: np.ndarray, own: int) -> np.ndarray:
    """Selectivity, [draw, unit], of effects [draw, factor, unit]; a unit that never changes has none (0)."""
    mine, rest = effects[:, own], np.delete(effects, own, axis=1).mean(1)
    total = mine + rest
    return np.divide(mine - rest, total, out=np.zeros_like(total), where=total > 0)


def pair_effects(outputs: Mapping[str, tuple[Tensor, Tensor]], seed: int, draws: int = 300) -> PairEffects:
    """How much units change when one factor of a scene does, and nothing else.

    The effect is mean |second − first|² / (2 · variance over all these scenes). It is the share of a unit's
    variance that the factor makes, alone or together with others (the total Sobol index), times k / (k − 1)
    for a factor of k values, since the two values of a pair always differ. A unit that is shuffled over
    scenes has an effect of about 1 for every factor, and so a selectivity of 0.

    Args:
        outputs: factor -> what each unit gives for the first and for the second scene of its pairs
            (`kit.world.pairs`), each [pair, unit] or [pair, unit, dim]. Two factors or more, since
            selectivity holds one against the others.
        seed: of the bootstrap.
        draws: how often pairs are drawn again.

    Returns:
        `PairEffects`. Variance is taken over the scenes of the factor's own pairs; a unit that does not vary
        among them has an effect of 0.

    Raises:
        KitError: one factor alone, shapes that do not fit, fewer than two pairs, values that are not finite.

    Source:
        Total effect of a factor by pairs: Jansen 1999, Computer Physics Communications 117.

    Example:
        >>> import kit
        >>> codes = {a: kit.world.pairs(a, 50, seed=1) for a in ("colour", "background")}
        >>> knows = {a: tuple(s.codes["colour"][:, None].double() for s in (p.first, p.second))
        ...          for a, p in codes.items()}
        >>> pair_effects(knows, seed=0).selectivity("colour")["value"].tolist()
        [1.0]
    """
    if len(outputs) < 2:
        raise KitError(f"{len(outputs)} factor is held against none; give pairs of two factors or more.")
    units = {_checked(name, *both) for name, both in outputs.items()}
    if len(units) > 1:
        raise KitError(f"units should be the same for all factors, but there are {sorted(units)} of them.")
    rng = np.random.default_rng(seed)
    found = [_effect(*both, rng, draws) for both in outputs.values()]
    effects = np.stack(found, 1)  # [1 + draw, factor, unit]
    return PairEffects(effects[0], effects[1:], tuple(outputs))


def _checked(name: str, first: Tensor, second: Tensor) -> tuple[int, ...]:
    if first.shape != second.shape or first.ndim not in (2, 3) or len(first) < 2:
        shapes = f"{list(first.shape)} and {list(second.shape)}"
        raise KitError(f'outputs for "{name}" are {shapes}; give two of [pair, unit] or [pair, unit, dim].')
    if not (first.isfinite().all() and second.isfinite().all()):
        raise KitError(f'outputs for "{name}" hold values that are not finite; leave these pairs out.')
    return tuple(first.shape[1:])


def _effect(first: Tensor, second: Tensor, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Effect on each unit, of all pairs and of pairs drawn again, float64 [1 + draw, unit]."""
    first, second = (each.double().reshape(*each.shape[:2], -1) for each in (first, second))
    count = len(first)
    taken = rng.multinomial(count, [1 / count] * count, size=draws)
    shares = torch.from_numpy(np.vstack([np.ones(count), taken]) / count)  # [1 + draw, pair]
    middle = torch.cat([first, second]).mean(0)  # large means would cost digits
    first, second = first - middle, second - middle
    moved = shares @ (second - first).square().sum(-1)  # [1 + draw, unit]
    squares = shares @ (first.square() + second.square()).sum(-1) / 2
    means = (shares @ ((first + second) / 2).flatten(1)).unflatten(1, first.shape[1:])
    variance = squares - means.square().sum(-1)
    nothing = variance <= 1e-12 * squares.clamp(min=1e-300)
    return torch.where(nothing, 0.0, moved / (2 * variance).where(~nothing, torch.ones(()))).numpy()
