"""Names and order of tensor axes, and the check that a shape is what it should be."""

from torch import Tensor

from kit.errors import KitError


def expect_shape(tensor: Tensor, axes: str, what: str, **sizes: int) -> None:
    """Raise unless `tensor` has the named axes, with the given sizes.

    Args:
        tensor: the tensor to look at.
        axes: names separated by blanks, such as `"batch embed"`.
        what: how the message calls the tensor.
        **sizes: size of some of the named axes; the others are free.

    Raises:
        KitError: another number of axes, or another size; the message holds both shapes.

    Example:
        >>> import torch
        >>> expect_shape(torch.zeros(2, 5), "text embed", "directions", embed=4)
        Traceback (most recent call last):
        ...
        kit.errors.KitError: directions should be [text, embed=4], but the shape is [2, 5].
    """
    names = axes.split()
    wanted = ", ".join(f"{n}={sizes[n]}" if n in sizes else n for n in names)
    fits = tensor.ndim == len(names) and all(
        tensor.shape[i] == sizes[n] for i, n in enumerate(names) if n in sizes
    )
    if not fits:
        raise KitError(f"{what} should be [{wanted}], but the shape is {list(tensor.shape)}.")
