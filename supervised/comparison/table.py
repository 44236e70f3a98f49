"""The file of a table: a study of `supervised.train`, whose `report` may also ask for heat maps.

report:
  heat_maps: [selection_score, accuracy]   # metrics over the two keys of the grid
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError
from rl_attn.reports.collect import settings_of
from rl_attn.studies.schema import Study, read_study

COMMAND = "supervised.train"


def read_table(file: Path, data_root: str | None) -> Study:
    """Read and check a table's file; UserError for what no comparison could be made of.

    Args:
        data_root: where the data are on this machine, in place of what the file says.
    """
    study = read_study(file)
    if study.command != COMMAND:
        raise UserError(
            f"{file} is a study of {study.command}, not of {COMMAND}: run it with "
            f"python -m rl_attn.study {file}"
        )
    if study.search is not None:
        raise UserError(f"{file} is a search, which has no table: run it with rl_attn.study")
    heat_maps(study.values)
    return study if data_root is None else _with_root(study, data_root)


def heat_maps(declared: dict[str, Any]) -> list[str]:
    """Names of the metrics that are drawn over a grid of two keys; [] where none are asked for."""
    names = settings_of(declared).get("heat_maps", [])
    if not isinstance(names, list):
        raise UserError(f"report.heat_maps lists names of metrics, found {names!r}")
    keys = list(declared.get("grid") or {})
    if names and len(keys) != 2:
        raise UserError(
            f"report.heat_maps needs a grid of two keys, and this one has {len(keys)}: "
            f"{', '.join(keys) or 'none'}"
        )
    return [str(name) for name in names]


def _with_root(study: Study, data_root: str) -> Study:
    if not Path(data_root).is_dir():
        raise UserError(f"--data-root {data_root} is no folder")
    arguments = {**study.arguments, "data_root": data_root}
    return replace(study, arguments=arguments, values={**study.values, "arguments": arguments})
