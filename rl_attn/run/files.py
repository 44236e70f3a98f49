"""Files that are written beside their place and moved there: a reader never sees half of one."""

import errno
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil


def full_disk(error: OSError) -> str | None:
    """One line if that error says that a disk is full; None for another error."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    where = f" for {error.filename}" if error.filename else ""
    return f"no space left{where} ({error.strerror}): free some"


def write_text(path: Path, text: str | None) -> None:
    """Replace a text file in one move; None removes it."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """As JSON, in which what is not a finite number is null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {key: _finite(part) for key, part in value.items()}
        case list() | tuple():
            return [_finite(part) for part in value]
        case float() if not math.isfinite(value):
            return None
    return value


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """`with replacing(target) as scratch:` moves scratch to target if the block succeeds."""
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield scratch
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(scratch, target)


def sweep(folder: Path) -> None:
    """Remove what `replacing` left in a folder when its process was killed.

    For who holds the folder's lock: nobody else writes checkpoints. Beside them others may, such
    as an evaluation of the run; what is theirs goes once their process has ended.
    """
    for file in folder.glob(".*"):
        if (pid := _pid(file)) and not psutil.pid_exists(pid):
            file.unlink(missing_ok=True)
    for file in (folder / "checkpoints").glob(".*"):
        if _pid(file):
            file.unlink(missing_ok=True)


def _pid(file: Path) -> int | None:
    """The process that a scratch file belongs to; None for another file."""
    scratch = re.fullmatch(r"\..+\.(\d+)", file.name)
    return int(scratch[1]) if scratch and file.is_file() else None
