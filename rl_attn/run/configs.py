"""Configurations and studies that come with the package, by name: `--config camal_paper`.

They are the files of `configs/`, which a wheel holds as `rl_attn/configs/`.
"""

import os
from pathlib import Path

from rl_attn.errors import choose

FOLDER = Path(__file__).resolve().parents[1] / "configs"


def find_config(name: str, kind: str = "configuration") -> Path:
    """The file of that path, or the package's of that name.

    Args:
        name: a path (it exists, ends in .yaml or has a slash) or a name (`camal_paper`).
        kind: what it is to the user, for the message.

    Raises:
        UserError: for an unknown name, with the nearest one; a missing path is left to the reader.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or "/" in name or os.path.isfile(name):
        return path
    known = {file.stem: file for file in sorted(FOLDER.glob("*/*.yaml"))}
    return known[choose(kind, name, known)]
