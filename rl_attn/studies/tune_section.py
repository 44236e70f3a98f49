"""The `tune` of a study file: a few values of one flag for each method, to choose from.

tune:
  by: validation/accuracy         # column of metrics.csv: the largest, of equals the first
  seeds: [1]                      # of the runs that tell, which are no folds
  values:                         # labels of the key that the report compares; the same number for
    CAMAL: {weight: [0.3, 1, 3]}  # all, so that all have the same budget
    RRR: {weight: [1, 10, 100]}
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rl_attn.errors import UserError, choose


@dataclass(frozen=True)
class Tuning:
    """One flag of some labels, from a few values."""

    key: str  # of the grid
    by: str
    values: dict[str, tuple[str, list[Any]]]  # label -> flag, values
    seeds: list[int]


def read_tuning(values: Any, key: str | None, labels: Collection[str], file: str) -> Tuning:
    """Check the `tune` of a study file.

    Args:
        key, labels: what the report compares.
    """
    where = f"tune in {file}"
    if not isinstance(values, dict):
        raise UserError(f"{where} must be a mapping, got {values!r}")
    for name in values:
        choose(f"key of {where}:", str(name), ("by", "seeds", "values"))
    tried, by, seeds = values.get("values"), values.get("by"), values.get("seeds", [1])
    if key is None or not isinstance(tried, dict) or not tried or not isinstance(by, str):
        raise UserError(f"{where} needs a grid, `by: COLUMN`, and `values` of its labels")
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int for s in seeds):
        raise UserError(f"seeds of {where} must be a list of whole numbers, got {seeds!r}")
    found = {
        choose(f"label in {where}:", str(k), labels): _flag(v, where) for k, v in tried.items()
    }
    sizes = {label: len(options) for label, (_, options) in found.items()}
    if len(set(sizes.values())) > 1:
        raise UserError(f"{where} gives its labels unequal budgets: {sizes}")
    return Tuning(key, by, found, seeds)


def _flag(entry: Any, where: str) -> tuple[str, list[Any]]:
    one = isinstance(entry, Mapping) and len(entry) == 1
    flag, options = next(iter(entry.items())) if one else ("", None)
    if not isinstance(options, list) or len(options) < 2:
        raise UserError(f"{where} needs one flag with two or more values for a label: {entry!r}")
    return str(flag).replace("-", "_"), options
