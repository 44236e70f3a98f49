"""Doom's files: a WAD is a list of named lumps, a map in UDMF is text in one of them.

    lumps = read(path)                          # [("MAP01", b""), ("TEXTMAP", b"..."), ...]
    blocks = parse(dict(lumps)["TEXTMAP"])      # [Block("", {"namespace": '"zdoom"'}), ...]
    write(path, lumps)

A WAD is a header of 12 bytes, the lumps, and a directory of 16 bytes a lump. A map is an empty lump
with its name and the lumps after it; the first of these is TEXTMAP (UDMF) or THINGS (the old binary
format). https://doomwiki.org/wiki/WAD, https://doomwiki.org/wiki/UDMF
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rl_attn.errors import UserError

Lump = tuple[str, bytes]

_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_STATEMENT = re.compile(r'(\w+)\s*(?:=\s*([^;]*);|\{((?:"[^"]*"|[^"}])*)\})')
_VALUE = re.compile(r'(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*);')


@dataclass
class Block:
    """One `kind { key = value; ... }`; values as they are written. kind "": an assignment."""

    kind: str
    values: dict[str, str]


def directory(path: Path) -> list[tuple[str, int, int]]:
    """(name, position, size) of all lumps; UserError if it is no WAD."""
    with path.open("rb") as file:
        header = file.read(12)
        if len(header) < 12 or header[:4] not in (b"IWAD", b"PWAD"):
            raise UserError(f"{path} is not a WAD file: it does not begin with IWAD or PWAD")
        _, count, position = struct.unpack("<4sii", header)
        file.seek(max(position, 0))
        table = file.read(16 * max(count, 0))
    end = path.stat().st_size
    lumps = [
        (name.rstrip(b"\0").decode("ascii", "replace").upper(), start, size)
        for start, size, name in struct.iter_unpack("<ii8s", table[: len(table) // 16 * 16])
    ]
    if len(lumps) != count or any(min(s, n) < 0 or s + n > end for _, s, n in lumps):
        raise UserError(f"{path} is a broken WAD file: its directory points outside of it")
    return lumps


def read(path: Path) -> list[Lump]:
    """All lumps in their order; UserError if it is no WAD."""
    lumps, data = directory(path), path.read_bytes()
    return [(name, data[start : start + size]) for name, start, size in lumps]


def write(path: Path, lumps: Iterable[Lump]) -> None:
    """A patch WAD of these lumps."""
    body, table, position = [], [], 12
    for name, data in lumps:
        table.append(struct.pack("<ii8s", position, len(data), name.encode("ascii")))
        body.append(data)
        position += len(data)
    header = struct.pack("<4sii", b"PWAD", len(table), position)
    path.write_bytes(b"".join([header, *body, *table]))


def maps(names: list[str]) -> dict[str, int]:
    """Of lumps with these names: where the marker of each map is."""
    pairs = pairwise(names)
    found = {name: at for at, (name, after) in enumerate(pairs) if after in ("TEXTMAP", "THINGS")}
    return {name: at for name, at in found.items() if name not in ("TEXTMAP", "THINGS")}


def map_lumps(lumps: list[Lump], name: str) -> list[Lump]:
    """The lumps of a UDMF map, without its marker, up to ENDMAP. UserError if there is none."""
    names = [lump for lump, _ in lumps]
    start = maps(names).get(name.upper())
    if start is None or names[start + 1] != "TEXTMAP":
        raise UserError(f"there is no map {name} in UDMF (a TEXTMAP lump)")
    return lumps[start + 1 : names.index("ENDMAP", start) + 1]


def parse(textmap: bytes) -> list[Block]:
    """The statements of a TEXTMAP lump in their order, without comments."""
    text = _COMMENT.sub(
        lambda found: found[0] if found[0].startswith('"') else " ", textmap.decode("latin-1")
    )
    blocks = []
    for name, value, body in _STATEMENT.findall(text):
        if body or not value:
            pairs = {key.lower(): word.strip() for key, word in _VALUE.findall(body)}
            blocks.append(Block(name.lower(), pairs))
        else:
            blocks.append(Block("", {name: value.strip()}))
    return blocks


def text(blocks: Iterable[Block]) -> bytes:
    """A TEXTMAP lump of these statements."""
    lines = []
    for block in blocks:
        words = " ".join(f"{key}={value};" for key, value in block.values.items())
        lines.append(f"{block.kind}{{{words}}}" if block.kind else words)
    return "\n".join(lines).encode("latin-1")
