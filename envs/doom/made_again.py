"""Environments are pickled as the call that made them."""

from __future__ import annotations

from functools import partial
from typing import Any


class MadeAgain:
    """A pickle holds the arguments: what comes out of it has not been reset yet.

    What plays meanwhile is in processes of its own, so a copy of an environment in the middle of
    an episode does not exist, and `copy.deepcopy` says so.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> MadeAgain:
        new = super().__new__(cls)
        new._made_with = (args, kwargs)
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        args, kwargs = self._made_with
        return partial(type(self), *args, **kwargs), ()

    def __copy__(self) -> MadeAgain:
        raise TypeError(
            f"a {type(self).__name__} cannot be copied, because its game is a process of its own: "
            "make another one and reset it with the same seed"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> MadeAgain:
        return self.__copy__()
