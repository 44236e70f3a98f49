"""Things of one kind by name: what a stranger adds in a file of their own is registered here.

MAPS: Registry[MapFunction] = Registry("attention map")

@MAPS.register("grad-cam")
def grad_cam(...): ...

MAPS.find("grad-cm")        # UserError: unknown attention map 'grad-cm' (did you mean grad-cam?)
"""

from collections.abc import Callable
from typing import TypeVar

from rl_attn.errors import UserError, choose

T = TypeVar("T")


class Registry(dict[str, T]):
    """A dict from name to thing that refuses a second thing of the same name."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: enter what it decorates under `name`."""

        def enter(thing: T) -> T:
            if self.get(name, thing) is not thing:
                raise UserError(f"two things are registered as {self.kind} {name!r}: rename one")
            self[name] = thing
            return thing

        return enter

    def find(self, name: str) -> T:
        """The thing of that name; a UserError with a suggestion and the choices for any other."""
        return self[choose(self.kind, name, self)]
