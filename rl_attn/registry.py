"""Things of one kind by name: what a stranger adds in a file of their own is registered here.

    MAPS: Registry[MapFunction] = Registry("attention map")

    @MAPS.register("grad-cam")
    def grad_cam(...): ...

    MAPS.find("grad-cm")    # UserError: unknown attention map 'grad-cm' (did you mean grad-cam?)

A registry may have a folder, each file of which registers the thing that it is named after. Such a
file is imported when its name is asked for, so that names are known without importing any of them.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeVar

from rl_attn.errors import UserError, choose

T = TypeVar("T")

#: File of a folder that holds what its others share.
_SHARED = "base"


class Registry(dict[str, T]):
    """A dict from name to thing that refuses a second thing of the same name.

    Args:
        kind: what messages call a thing.
        package: import name of the folder, such as "rl_attn.rl.methods"; its __init__ makes the
            registry, and what its files share is in `base.py`.
    """

    def __init__(self, kind: str, package: str | None = None):
        super().__init__()
        self.kind, self.package = kind, package

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: enter what it decorates under `name`."""

        def enter(thing: T) -> T:
            foreign = name in self._files() and thing.__module__ != self._module(name)
            if foreign or self.get(name, thing) is not thing:
                raise UserError(f"two things are registered as {self.kind} {name!r}: rename one")
            self[name] = thing
            return thing

        return enter

    def names(self) -> list[str]:
        """All of them: those of the folder first, then what was registered elsewhere."""
        return list(dict.fromkeys([*self._files(), *self]))

    def find(self, name: str) -> T:
        """The thing of that name; a UserError with a suggestion and the choices for any other."""
        choose(self.kind, name, self.names())
        if name not in self:
            importlib.import_module(self._module(name))
        return self[name]

    def _files(self) -> list[str]:
        if self.package is None:
            return []
        path = importlib.import_module(self.package).__path__
        stems = (module.name for module in pkgutil.iter_modules(path))
        return [stem.replace("_", "-") for stem in stems if stem != _SHARED]

    def _module(self, name: str) -> str:
        return f"{self.package}.{name.replace('-', '_')}"
