"""Reads what runs left for the comparison; what is broken becomes a line of the study's problems,
and is missing."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl_attn.reports.study import Cell, Study

Arrays = dict[str, np.ndarray]


def read_arrays(study: Study, cell: Cell, name: str, keys: Sequence[str]) -> Arrays:
    """The arrays of `attention/NAME.npz` of a cell; {} where it left none, or not all of `keys`."""
    file = cell.path / "attention" / f"{name}.npz"
    if cell.state != "finished" or not file.is_file():
        return {}
    try:
        with np.load(file, allow_pickle=False) as content:
            found = {key: content[key] for key in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        study.problems.append(f"{_place(file)} cannot be read: {' '.join(str(error).split())}")
        return {}
    missing = [key for key in keys if key not in found]
    if missing:
        study.problems.append(f"{_place(file)} holds no {', '.join(missing)}")
        return {}
    return found


def _place(file: Path) -> str:
    return "/".join(file.parts[-3:])
