"""The file of a table: a study of `supervised.train`."""

from dataclasses import replace
from pathlib import Path

from rl_attn.errors import UserError
from rl_attn.map_names import MAPS
from rl_attn.studies.schema import Study, read_study

COMMAND = "rl_attn.supervised.train"


def read_table(file: Path, data_root: str | None = None, attention: str | None = None) -> Study:
    """Read and check a table's file; UserError for what no comparison could be made of.

    Args:
        data_root: where the data are on this machine, in place of what the file says.
        attention: what map is trained and measured, in place of what the file says.
    """
    study = read_study(file)
    if study.command != COMMAND:
        raise UserError(
            f"{file} is a study of {study.command}, not of {COMMAND}: run it with "
            f"python -m rl_attn.study {file}"
        )
    if study.search is not None:
        raise UserError(f"{file} is a search, which has no table: run it with rl_attn.study")
    if data_root is not None and not Path(data_root).is_dir():
        raise UserError(f"--data-root {data_root} is not a folder")
    if attention is not None:
        MAPS.check_trained(attention)
        _check_no_cell_has_its_own(study, attention)
    said = {"data_root": data_root, "attention": attention}
    said = {name: value for name, value in said.items() if value is not None}
    arguments = {**study.arguments, **said}
    return replace(study, arguments=arguments, values={**study.values, "arguments": arguments})


def _check_no_cell_has_its_own(study: Study, attention: str) -> None:
    for key, entries in study.grid.items():
        for label, flags in entries.items():
            if "attention" in flags:
                raise UserError(
                    f"--attention {attention}: the file's {key} {label} has one of its own, "
                    f"{flags['attention']}: leave the flag out, or change the file"
                )
