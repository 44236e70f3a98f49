"""`load("decoy-mnist", base="mnist", mask="not-patch")`: every data set by its name.

A set is a function of the folder that holds the user's data and of its own options, which are
its keyword arguments; their names, choices and types are checked here, for all of them alike. Its
module is imported when it is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from rl_attn.errors import UserError, choose
from rl_attn.registry import Registry

if TYPE_CHECKING:
    from rl_attn.supervised.data.dataset import DataSet

_FILES = {
    "digits": "grey",
    "mnist": "grey",
    "fashion-mnist": "grey",
    "color-mnist": "color_mnist",
    "decoy-mnist": "decoy_mnist",
    "monsters": "monsters",
    "busi": "busi",
    "oxford-pets": "oxford",
    "oxford-flowers": "oxford",
    "lidc": "prepared",
    "pancreas": "prepared",
    "gender": "prepared",
    "scene": "prepared",
    "masked-folder": "folder",
}

LOADERS: Registry[Callable[..., DataSet]] = Registry(
    "data set", modules={name: f"{__package__}.{file}" for name, file in _FILES.items()}
)


def load(
    name: str, root: Path | None = None, *, masks: Path | str | None = None, **options: Any
) -> DataSet:
    """Load a data set by name; the same options give the same tensors.

    Args:
        name: see LOADERS.
        root: the folder with data that does not come with a package; default "data".
        masks: a folder of masks to use instead of the set's own, see `replaced`.
        options: of that set, see `options_of`; text is turned into numbers where numbers belong.

    UserError: an unknown name or option (with the choices), a value of the wrong kind, a set that
    is not there (with what was looked for), damaged files, a set that nothing can be learned from.

    >>> data = load("digits")
    >>> data.splits["train"].images.shape, data.classes[:3]
    (torch.Size([1293, 1, 28, 28]), ('0', '1', '2'))
    """
    from rl_attn.supervised.data.dataset import check  # torch
    from rl_attn.supervised.data.replaced import with_masks

    values = options_for(name, options)
    dataset = check(LOADERS[name](None if root is None else Path(root), **values))
    return dataset if masks is None else with_masks(dataset, Path(masks))


def options_for(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as what a data set takes. UserError: a name or a value that it does not."""
    known = options_of(name)
    for option in given:
        choose(f"option of {name}", option, list(known))
    values = {key: _converted(name, key, value, known[key]) for key, value in given.items()}
    if not 0 <= values.get("seed", 0) < 2**63:
        raise UserError(f"seed of {name} is {values['seed']}: it must be from 0 to 2^63 - 1")
    return values


def options_of(name: str) -> Mapping[str, Any]:
    """The options of a data set and their types.

    >>> sorted(options_of("color-mnist"))
    ['base', 'jpeg', 'seed', 'size', 'variant']
    """
    loader = LOADERS[name]
    function = loader.func if isinstance(loader, partial) else loader
    hints = get_type_hints(function)
    found = {}
    for parameter in inspect.signature(loader).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            found[parameter.name] = hints[parameter.name]
        if parameter.kind is parameter.VAR_KEYWORD:  # Unpack[a TypedDict]
            found |= get_type_hints(get_args(hints[parameter.name])[0])
    return found


def _converted(name: str, key: str, value: Any, kind: Any) -> Any:
    """The value as what the option takes: numbers may come as text, from a command line."""
    if get_origin(kind) in (Union, UnionType):
        inner = [one for one in get_args(kind) if one is not NoneType]
        return None if value is None else _converted(name, key, value, inner[0])
    if get_origin(kind) is Literal:
        return choose(f"{key} of {name}", str(value), get_args(kind))
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if kind is int and float(value) != int(float(value)):
            raise ValueError
        return kind(value)
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{key} of {name} is {value!r}: it must be a {kind.__name__}") from None
