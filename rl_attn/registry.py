"""Things of one kind by name: what a stranger adds in a file of their own is registered here.

    MAPS: Registry[MapFunction] = Registry("attention map")

    @MAPS.register("grad-cam")
    def grad_cam(...): ...

    MAPS["grad-cm"]    # UserError: unknown attention map 'grad-cm' (did you mean grad-cam?)

A registry may list the modules that register its things, or it may have a folder, where each file
registers the thing that it is named after. A module is imported when one of its names is asked for,
so that names are known, and unknown ones answered, without importing any.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, TypeVar, cast

from rl_attn.errors import UserError, choose

T = TypeVar("T")
S = TypeVar("S")  # of what is registered: T, or a class below it

#: File of a folder that holds what its others share.
_SHARED = "base"


class Registry(MutableMapping[str, T]):
    """A mapping from name to thing, of all its names, which imports what it is asked for.

    Args:
        kind: what messages call a thing.
        package: import name of the folder, such as "rl_attn.rl.methods"; its __init__ makes the
            registry, and what its files share is in `base.py`.
        modules: name -> the module that registers it, in place of a folder.
    """

    def __init__(
        self, kind: str, package: str | None = None, modules: Mapping[str, str] | None = None
    ):
        self.kind, self.package, self.modules = kind, package, modules or {}
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[S], S]:
        """Decorator: enter what it decorates under `name`, which must be free."""

        def enter(thing: S) -> S:
            foreign = self._modules().get(name, __name__) not in sys.modules
            if foreign or self._things.get(name, thing) is not thing:
                raise UserError(f"two things are registered as {self.kind} {name!r}: rename one")
            self._things[name] = cast("T", thing)
            return thing

        return enter

    def names(self) -> list[str]:
        """All of them: those of the package first, then what was registered elsewhere."""
        return list(dict.fromkeys([*self._modules(), *self._things]))

    def check(self, name: str) -> None:
        """A UserError with a suggestion and the choices for an unknown name; imports nothing."""
        choose(self.kind, name, self.names())

    def __getitem__(self, name: str) -> T:
        """The thing of that name; a UserError as `check` has it for any other."""
        if name not in self._things:
            self.check(name)
            importlib.import_module(self._modules()[name])
        return self._things[name]

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            return default
        return self[name]

    def __setitem__(self, name: str, thing: T) -> None:
        self._things[name] = thing

    def __delitem__(self, name: str) -> None:
        del self._things[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _modules(self) -> Mapping[str, str]:
        """Name -> the module that registers it."""
        if self.package is None:
            return self.modules
        path = importlib.import_module(self.package).__path__
        stems = [module.name for module in pkgutil.iter_modules(path) if module.name != _SHARED]
        return {stem.replace("_", "-"): f"{self.package}.{stem}" for stem in stems}
