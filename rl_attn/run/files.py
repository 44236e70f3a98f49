"""Files that are written beside their place and moved there: a reader never sees half of one."""

import os
from pathlib import Path


def write_text(path: Path, text: str | None) -> None:
    """Replace a text file in one move; None removes it."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


class replacing:
    """`with replacing(target) as scratch:` moves scratch to target if the block succeeds."""

    def __init__(self, target: Path):
        self.target = target
        self.scratch = target.with_name(f".{target.name}.{os.getpid()}")

    def __enter__(self) -> Path:
        return self.scratch

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            self.scratch.unlink(missing_ok=True)
            return
        with self.scratch.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self.scratch, self.target)
