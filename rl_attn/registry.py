"""Things of one kind by name: what a stranger adds in a file of their own is registered here.

    MAPS: Registry[MapFunction] = Registry("attention map")

    @MAPS.register("grad-cam")
    def grad_cam(...): ...

    MAPS.find("grad-cm")    # UserError: unknown attention map 'grad-cm' (did you mean grad-cam?)

A registry may say in which modules its things are, or have a folder, each file of which registers
the thing that it is named after. A module is imported when a name of it is asked for, so that names
are known, and unknown ones answered, without importing any.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping
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
        modules: name -> the module that registers it, in place of a folder.
    """

    def __init__(
        self, kind: str, package: str | None = None, modules: Mapping[str, str] | None = None
    ):
        super().__init__()
        self.kind, self.package, self.modules = kind, package, modules or {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: enter what it decorates under `name`."""

        def enter(thing: T) -> T:
            foreign = self._homes().get(name, __name__) not in sys.modules
            if foreign or self.get(name, thing) is not thing:
                raise UserError(f"two things are registered as {self.kind} {name!r}: rename one")
            self[name] = thing
            return thing

        return enter

    def names(self) -> list[str]:
        """All of them: those of the package first, then what was registered elsewhere."""
        return list(dict.fromkeys([*self._homes(), *self]))

    def check(self, name: str) -> None:
        """A UserError with a suggestion and the choices for an unknown name; imports nothing."""
        choose(self.kind, name, self.names())

    def find(self, name: str) -> T:
        """The thing of that name; a UserError as `check` has it for any other."""
        self.check(name)
        if name not in self:
            importlib.import_module(self._homes()[name])
        return self[name]

    def _homes(self) -> Mapping[str, str]:
        """Name -> the module that registers it."""
        if self.package is None:
            return self.modules
        path = importlib.import_module(self.package).__path__
        stems = [module.name for module in pkgutil.iter_modules(path) if module.name != _SHARED]
        return {stem.replace("_", "-"): f"{self.package}.{stem}" for stem in stems}
