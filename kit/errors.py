"""The one error that users of the kit meet, and the help that it gives."""

import difflib
from collections.abc import Iterable
from numbers import Integral


class KitError(ValueError):
    """Something was asked that cannot be done.

    The message says what was asked, what is there, and what to do, in this order.

    Example:
        >>> raise KitError('no layer 9: "stickers-l8" has 6 layers (0-5).')
        Traceback (most recent call last):
        ...
        kit.errors.KitError: no layer 9: "stickers-l8" has 6 layers (0-5).
    """


class Refused(KitError):
    """A tower that cannot be taken apart, with the operation that proves it.

    There are two reasons: the representation comes straight out of an operation that no part can pass,
    so that there is one part and no sum; or the library's own module says that it gives none. Whatever
    else goes wrong is an error of the kit, not this.
    """


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """The known names that look most like `name`, as a sentence to append to a message.

    Args:
        name: what was asked.
        known: the names that exist.
        n: at most so many are named.

    Returns:
        `" Nearest: a, b."`, or an empty string where nothing is near.

    Example:
        >>> nearest("stickers-l9", ["stickers-l8", "ViT-B-32"])
        ' Nearest: stickers-l8.'
    """
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(str(name).lower(), list(by_lower), n=n, cutoff=0.5)
    return f" Nearest: {', '.join(by_lower[c] for c in close)}." if close else ""


def shown(text: object, most: int = 200) -> str:
    """A name or a path as a message shows it: on one line, its middle left out where it is long.

    Args:
        text: what a file system or a file said; it may hold line ends and bytes that are no text.
        most: letters that are shown.

    Example:
        >>> shown("caf\\udce9\\n.png")
        'caf\\\\udce9\\\\n.png'
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return text if len(text) <= most else f"{text[: most * 2 // 3]} … {text[-most // 4 :]}"


def expect_count(name: str, value: object, least: int = 1) -> int:
    """A whole number of things, or an error that names it.

    Args:
        name: of the argument.
        value: what was given.
        least: the smallest that makes sense.

    Raises:
        KitError: no whole number, or a smaller one.

    Example:
        >>> expect_count("batch", 0)
        Traceback (most recent call last):
        ...
        kit.errors.KitError: batch is 0; give a whole number from 1.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise KitError(f"{name} is {shown(repr(value))}; give a whole number from {least}.")
    return int(value)
