"""What is made once for a key, and kept while it is among the latest that were asked for."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Latest(OrderedDict):
    """Values by key; of more than `most` those go that were not asked for longest.

    Example:
        >>> held = Latest(2)
        >>> [held.of(key, lambda: key.upper()) for key in "abac"], list(held)
        (['A', 'B', 'A', 'C'], ['a', 'c'])
    """

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def of(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key; `make` gives it where it is not held."""
        if key not in self:
            self[key] = make()
            while len(self) > self.most:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]
