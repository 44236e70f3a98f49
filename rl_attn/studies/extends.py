"""A study that says only in what it differs from another: `extends: camal_drl`.

The other file is looked for beside this one, then among the package's. Mappings are merged key by
key, null takes a key away, and everything else replaces what stood there, as in a JSON Merge Patch
(https://www.rfc-editor.org/rfc/rfc7396).
"""

from pathlib import Path
from typing import Any

from rl_attn.errors import UserError
from rl_attn.run.configs import find_config
from rl_attn.run.yaml import load_yaml

_LONGEST_CHAIN = 8


def load_study(file: Path, chain: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a study file with all that it extends.

    Args:
        chain: the files that led here.
    """
    if len(chain) == _LONGEST_CHAIN:
        raise UserError(f"{chain[0]} extends {_LONGEST_CHAIN} files: is it a circle?")
    values = load_yaml(file, "study file")
    if "extends" not in values:
        return values
    base = _base(values.pop("extends"), file)
    return merged(load_study(base, (*chain, file)), values)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the changes of a merge patch; keys keep the base's order.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result


def _base(name: Any, file: Path) -> Path:
    if not isinstance(name, str) or not name:
        raise UserError(f"extends in {file} must name a file, got {name!r}")
    beside = file.parent / name
    for path in (beside, beside.with_name(f"{beside.name}.yaml")):
        if path.is_file():
            return path
    return find_config(name, f"study in extends of {file}:")
