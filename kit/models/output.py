"""What an image tower must give: one representation for each picture."""

from torch import Tensor

from kit.errors import Refused


def expect_representation(name: str, value: object) -> Tensor:
    """The output of a tower, if it is one representation for each picture, [batch, embed].

    Args:
        name: of the model, for the message.
        value: what the tower gave.

    Raises:
        Refused: tokens, a feature map, several values, or anything else.

    Example:
        >>> import torch
        >>> expect_representation("mine", torch.zeros(2, 32)).shape
        torch.Size([2, 32])
    """
    if isinstance(value, Tensor) and value.ndim == 2:
        return value
    kind, advice = type(value).__name__, "wrap it in a module that returns one of them, [batch, embed]"
    if isinstance(value, Tensor):
        shape = f"[{', '.join(['batch', *map(str, value.shape[1:])])}]"
        what = {3: "tokens", 4: "a feature map"}.get(value.ndim, "a tensor")
        given = f"{what} {shape}"
        advice = (
            "wrap it in a module that pools them to [batch, embed]. A tower of timm pools with "
            'config={"global_pool": "avg"}'
        )
    elif isinstance(value, dict):
        given = f"a {kind} of {', '.join(map(str, value))}"
    elif isinstance(value, tuple | list):
        given = f"a {kind} of {len(value)}"
    else:
        given, advice = f"a {kind}", "wrap it in a module that returns a tensor [batch, embed]"
    raise Refused(f'"{name}" is refused: it gives {given} and no one representation of a picture; {advice}.')
