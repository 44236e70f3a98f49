"""Masks that were made for a data set, as a folder: the one format that training reads.

    masks/<anything>/train.npy         uint8 (N, H, W): 255 where attention belongs, soft in between
    masks/<anything>/validation.npy    one file a split, pictures in the split's order
    masks/<anything>/masks.json        who made them, and a checksum a chunk (optional)

A folder of such files from anywhere else (WeCLIP+, SAM, by hand) serves as well: the JSON is only
what lets `supervised.masks` go on after an interruption, and find and redo what was damaged. A file
that is not complete yet is called <split>.part.npy, so nothing trains on half of it.
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rl_attn.errors import UserError, one_line
from rl_attn.run.files import write_text

RECORD = "masks.json"


class MaskFile:
    """The masks of one split, written chunk by chunk and checked when reopened."""

    def __init__(self, folder: Path, split: str, shape: tuple[int, int, int], chunk: int):
        """`shape` is (N, H, W); `chunk` how many masks have a checksum together."""
        self.whole, self.part = folder / f"{split}.npy", folder / f"{split}.part.npy"
        self.sums, self.shape, self.chunk = folder / f".{split}.sums.json", shape, chunk
        if not self.part.exists() and self.whole.exists():
            self.whole.rename(self.part)  # until it has been looked through
        self._crc = self._read_sums()
        self.masks = self._open()

    def _open(self) -> np.memmap:
        if self.part.exists():
            try:
                masks = np.load(self.part, mmap_mode="r+", allow_pickle=False)
                if masks.shape == self.shape and masks.dtype == np.uint8:
                    return masks
            except (ValueError, EOFError, OSError):
                pass  # not even a header: every chunk is missing
        self._crc = {}
        return np.lib.format.open_memmap(self.part, "w+", np.uint8, self.shape)

    def _read_sums(self) -> dict[str, int]:
        try:
            kept = json.loads(self.sums.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        same = isinstance(kept, dict) and kept.get("chunk") == self.chunk
        return dict(kept["crc"]) if same else {}

    def missing(self) -> Iterator[slice]:
        """Chunks that are not there or do not have their checksum, in order."""
        for start in range(0, self.shape[0], self.chunk):
            rows = slice(start, min(start + self.chunk, self.shape[0]))
            if self._crc.get(str(start)) != zlib.crc32(self.masks[rows].tobytes()):
                yield rows

    def write(self, rows: slice, masks: np.ndarray) -> None:
        """A chunk, uint8 (n, H, W); on the disk before its checksum is."""
        self.masks[rows] = masks
        self.masks.flush()
        self._crc[str(rows.start)] = zlib.crc32(self.masks[rows].tobytes())
        write_text(self.sums, json.dumps({"chunk": self.chunk, "crc": self._crc}))

    def finish(self) -> None:
        """Give the complete file its name."""
        self.masks.flush()
        self.part.rename(self.whole)


def claim(folder: Path, maker: dict[str, Any]) -> None:
    """Take a folder for the masks of one maker: how, from which pictures. UserError if it is
    another's, or holds masks of unknown origin."""
    record = folder / RECORD
    if record.exists():
        try:
            found = json.loads(record.read_text(encoding="utf-8"))
        except ValueError:
            raise UserError(
                f"{record} is damaged: delete the folder, or take another --out"
            ) from None
        differ = sorted(k for k in {*found, *maker} if found.get(k) != maker.get(k))
        if differ:
            key = differ[0]
            raise UserError(
                f"{folder} holds masks made otherwise ({key}: {found.get(key)!r}, now "
                f"{maker.get(key)!r}): take another --out, or delete it"
            )
        return
    if folder.exists() and any(folder.glob("*.npy")):
        raise UserError(f"{folder} holds masks made elsewhere: take another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(record, json.dumps(maker, indent=2))


def read(folder: Path, split: str, shape: tuple[int, int, int]) -> np.ndarray:
    """The masks of a split, uint8 (N, H, W). UserError for a missing, damaged or unfit file."""
    file = folder / f"{split}.npy"
    try:
        masks = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # numpy raises nearly anything on files that are none of its own
        raise UserError(f"masks {file} cannot be read: {one_line(error)}") from None
    if masks.dtype != np.uint8 or masks.shape != shape:
        raise UserError(
            f"masks {file} must be uint8 {shape}, 255 where attention belongs, got "
            f"{masks.dtype} {masks.shape}"
        )
    return masks
