"""Numbers in words: one way for every picture, table and sentence."""

from collections.abc import Sequence

import numpy as np

from kit.errors import KitError

MOST_DIGITS = 6


def number(
    value: float, limit: float | None = None, *, digits: int | None = None, sign: bool = False, short=False
) -> str:
    """A number with a real minus, no sign of zero's own, and digits by size.

    Args:
        value: NaN gives a dash.
        limit: size of the largest number beside it, so that all have the same digits; None = the value's own.
        digits: decimals; None = three significant digits of `limit`.
        sign: whether a number that is not negative has a plus.
        short: whether the zero before the point is left out, and the plus of a zero.

    Example:
        >>> number(-0.0312, 0.5), number(-0.0001, 0.5, sign=True), number(0.25, 1.0, short=True)
        ('−0.031', '+0.000', '.25')
    """
    value = float(value)
    if not np.isfinite(value):
        return "–" if np.isnan(value) else "∞" if value > 0 else "−∞"
    text = f"{abs(value):,.{decimals(limit if limit else value) if digits is None else digits}f}"
    if short and text.startswith("0."):
        text = text[1:]
    zero = not any(c in "123456789" for c in text)
    return ("−" if value < 0 and not zero else "+" if sign and not (zero and short) else "") + text


def signed(value: float, digits: int = 3) -> str:
    """A number with its sign, in as many decimals.

    Example:
        >>> signed(-0.0001), signed(-0.25, 2)
        ('+0.000', '−0.25')
    """
    return number(value, digits=digits, sign=True)


def decimals(limit: float) -> int:
    """Decimals that show three significant digits of a number of this size."""
    if not limit or not np.isfinite(limit):
        return 2
    return int(np.clip(2 - np.floor(np.log10(abs(limit)) + 1e-9), 0, MOST_DIGITS))


def interval(low: float, high: float, limit: float | None = None) -> str:
    """An interval in brackets; "" where an end is not known.

    Example:
        >>> interval(0.25, 0.5, 1.0)
        '[0.25, 0.50]'
    """
    if not np.isfinite([low, high]).all():
        return ""
    limit = limit or max(abs(low), abs(high))
    return f"[{number(low, limit)}, {number(high, limit)}]"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence, the first few and how many more.

    Example:
        >>> listed(["L5.H0", "L5.H5"]), listed(list("abcdefg"))
        ('L5.H0 and L5.H5', 'a, b, c, d and 3 more')
    """
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def nice(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten: the end of a scale.

    Example:
        >>> nice(0.0217), nice(0.0), nice(9.1)
        (0.03, 1.0, 10.0)
    """
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    step = next((s for s in (1, 1.5, 2, 3, 4, 5, 6, 8) if value <= s * power * (1 + 1e-6)), 10)
    return float(step * power)


def array(values, shape: Sequence[int | None], what: str) -> np.ndarray:
    """Values of a tensor, an array or a list as float64, once their shape was compared.

    Args:
        values: numbers.
        shape: expected length of each axis; None = any.
        what: names the numbers in the error.

    Raises:
        KitError: another shape.
    """
    held = values.detach().cpu().double().numpy() if hasattr(values, "detach") else values
    made = np.array(held, dtype=np.float64)  # a copy: a figure does not change when its source does
    if made.ndim != len(shape) or any(s is not None and s != n for s, n in zip(shape, made.shape)):
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise KitError(f"{what} should have the shape [{wanted}], but have {list(made.shape)}.")
    made.setflags(write=False)
    return made


def largest(*arrays) -> float:
    """The largest size of any finite number; 0 without one."""
    sizes = [np.abs(a[np.isfinite(a)]) for a in arrays if a is not None]
    return float(max((s.max() for s in sizes if s.size), default=0.0))
