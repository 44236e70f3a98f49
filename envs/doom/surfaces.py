"""What walls, floors, ceilings and skies can be covered with: set number n, always the same.

A set is of one of four kinds, in turn: textures of the main game (Freedoom), and images made here:
noise (blocks of a colour each), stripes, and natural images (colours whose spectrum falls with the
frequency as it does in photographs: Field 1987, https://doi.org/10.1364/JOSAA.4.002379).

Textures that move are left out: the engine moves some of them by the clock on the wall, and the
same episode would not look the same again.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from rl_attn.envs.doom import wad

SIDE = 64  # pixels of an image made here, which is as many map units
PARTS = ("wall", "floor", "ceiling")

# Of the names that Doom gave, whose textures have no holes and look like walls. Games that are made
# for its maps (Freedoom) have them too.
_WALLS = re.compile(
    r"BIGBRIK|BRICK|BROWN|BRONZE|BROVINE|CEMENT|COMPBLUE|COMPSPAN|CRACKLE|GRAY|GSTONE|ICKWALL|MARB"
    r"|METAL|MODWALL|NUKE24|PANBOOK|PANCASE|PANEL|PIPE|PLAT1|REDWALL|ROCK|SHAWN|SKIN|SLAD|SP_|STAR"
    r"|STONE|STUCCO|TANROCK|TEKGREN|TEKWALL|WOOD|ZIMMER|ZZW"
)
_FLATS = re.compile(r"CEIL|CONS|CRATOP|DEM1|FLAT|FLOOR|GRASS|GRNROCK|MFLR8|RROCK|SLIME|TLITE")
_MOVING = re.compile(r"SLADRIP|ROCKRED|SLIME0|SLIME1[0-2]|RROCK0[5-8]|FLATHUH")
_SKIES = ("SKY1", "SKY2", "SKY3")


@dataclass(frozen=True)
class Surfaces:
    """Names for a map's surfaces, and the images of those that the main game has not got."""

    wall: str
    floor: str
    ceiling: str
    sky: str
    images: tuple[tuple[str, bytes], ...]  # (name, PNG)


def surfaces(number: int, main_game: Path) -> Surfaces:
    """Set `number` (from 1) for maps of that IWAD."""
    rng = np.random.default_rng([number, 0x5EF])
    walls, flats, skies = names(main_game)
    sky = str(rng.choice(skies)) if skies else ""
    kind = number % 4
    if kind == 0 and walls and flats:
        floor, ceiling = rng.choice(flats, 2, replace=False)
        return Surfaces(str(rng.choice(walls)), str(floor), str(ceiling), sky, ())
    make = (_natural, _noise, _stripes, _natural)[kind]
    made = {part: f"LK{number:04d}{part[0].upper()}" for part in PARTS}
    images = tuple((name, png(make(rng))) for name in made.values())
    return Surfaces(**made, sky=sky, images=images)


@cache
def names(main_game: Path) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """(wall textures, flats, skies) of an IWAD that a map can be covered with."""
    lumps = wad.directory(main_game)
    all_names = [name for name, _, _ in lumps]
    walls: list[str] = []
    with main_game.open("rb") as file:
        for name, start, size in lumps:
            if name in ("TEXTURE1", "TEXTURE2"):
                file.seek(start)
                walls += _texture_names(file.read(size))
    flats: list[str] = []
    if {"F_START", "F_END"} <= set(all_names):
        flats = all_names[all_names.index("F_START") + 1 : all_names.index("F_END")]
    skies = tuple(name for name in _SKIES if name in walls)
    return _safe(walls, _WALLS), _safe(flats, _FLATS), skies


def _safe(found: list[str], wanted: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(sorted({n for n in found if wanted.match(n) and not _MOVING.match(n)}))


def _texture_names(lump: bytes) -> list[str]:
    """Names in a TEXTURE1 lump. https://doomwiki.org/wiki/TEXTURE1_and_TEXTURE2"""
    (count,) = struct.unpack_from("<i", lump)
    offsets = struct.unpack_from(f"<{count}i", lump, 4)
    return [lump[at : at + 8].rstrip(b"\0").decode("ascii").upper() for at in offsets]


def png(pixels: np.ndarray) -> bytes:
    """An image (h, w, 3) uint8 as a PNG file."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Blocks of 1 to 16 pixels around one colour."""
    block = 2 ** int(rng.integers(5))
    grid = rng.integers(-110, 110, (SIDE // block, SIDE // block, 3)) + rng.integers(40, 216, 3)
    return np.kron(grid.clip(0, 255), np.ones((block, block, 1), int)).astype(np.uint8)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    """A few colours in stripes, across, along or at 45 degrees."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    along = (x, y, x + y)[rng.integers(3)]
    colours = rng.integers(0, 256, (int(rng.choice([2, 4])), 3))
    width = SIDE // len(colours) // 2 ** int(rng.integers(1, 4))
    return colours[along // width % len(colours)].astype(np.uint8)


def _natural(rng: np.random.Generator) -> np.ndarray:
    """Amplitudes that fall as one over the frequency, random phases; it repeats without a seam."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((3, SIDE, SIDE))) / frequency
    fields = np.fft.ifft2(spectrum).real  # (3, h, w)
    fields /= fields.std(axis=(1, 2), keepdims=True)
    mix = np.eye(3) * 0.4 + 0.6  # neighbouring channels of a photograph resemble each other
    image = np.tensordot(mix, fields, 1) * 45 + rng.integers(60, 196, (3, 1, 1))
    return image.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
