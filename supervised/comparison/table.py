"""The file of a table: a study of `supervised.train`."""

from dataclasses import replace
from pathlib import Path

from rl_attn.errors import UserError
from rl_attn.studies.schema import Study, read_study

COMMAND = "rl_attn.supervised.train"


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
    return study if data_root is None else _with_root(study, data_root)


def _with_root(study: Study, data_root: str) -> Study:
    if not Path(data_root).is_dir():
        raise UserError(f"--data-root {data_root} is no folder")
    arguments = {**study.arguments, "data_root": data_root}
    return replace(study, arguments=arguments, values={**study.values, "arguments": arguments})
