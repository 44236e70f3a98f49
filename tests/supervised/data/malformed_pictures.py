"""Malformed folders, images, masks and arrays: what is done to a good one, by a seed.

No checksum guards the levels of JPEG, BMP, WebP and most TIFF files: a bit that is flipped in there
and can be decoded still is another picture, which nobody can tell. `UNGUARDED` has them apart.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from rl_attn.supervised.data import load

SIDE, COUNT = 12, 4
IMAGE, MASK = "images/cat/2.png", "masks/cat/2.png"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)


def mask(seed: int) -> np.ndarray:
    found = np.zeros((SIDE, SIDE), np.uint8)
    found[: 2 + seed % 6, 3:9] = 255
    return found


def make(root: Path) -> set[tuple[bytes, bytes]]:
    """Two classes of four images with masks; returns what loading must give, as bytes."""
    expected = set()
    for label, name in enumerate(("cat", "dog")):
        for kind in ("images", "masks"):
            (root / kind / name).mkdir(parents=True)
        for i in range(COUNT):
            image, marks = picture(10 * label + i), mask(10 * label + i)
            Image.fromarray(image).save(root / "images" / name / f"{i}.png")
            Image.fromarray(marks).save(root / "masks" / name / f"{i}.png")
            expected.add((image.tobytes(), marks.tobytes()))
    return expected


def loaded(root: Path) -> set[tuple[bytes, bytes]]:
    pairs = set()
    for part in load("masked-folder", root).splits.values():
        assert part.known is None
        for image, marks in zip(part.images, part.masks, strict=True):
            pairs.add((image.permute(1, 2, 0).numpy().tobytes(), marks.numpy().tobytes()))
    return pairs


# ---------------------------------------------------------------- what is done to one file

Change = Callable[[Path, np.random.Generator], None]


def truncated(path: Path, rng: np.random.Generator) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.integers(len(data) - 12)])  # 12: an end without picture data


def flipped(path: Path, rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    path.write_bytes(data)


def inserted(path: Path, rng: np.random.Generator) -> None:
    data, at = path.read_bytes(), rng.integers(path.stat().st_size)
    path.write_bytes(data[:at] + rng.bytes(rng.integers(1, 40)) + data[at:])


def noise(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(rng.bytes(rng.integers(2000)))


def lying_header(path: Path, rng: np.random.Generator) -> None:
    """Another width, height, depth, colour or interlace in a PNG's header, its checksum right."""
    data = bytearray(path.read_bytes())
    at, change = [
        (16, struct.pack(">I", int(rng.integers(1, 2**31)))),
        (20, struct.pack(">I", int(rng.integers(1, 2**31)))),
        (16, struct.pack(">I", SIDE + int(rng.integers(1, 5)))),
        (20, struct.pack(">I", SIDE + int(rng.integers(1, 5)))),
        (24, bytes([rng.choice([16, 3])])),  # fewer bits are a file with bytes to spare
        (25, bytes([rng.choice([3, 4, 6, 7])])),
    ][rng.integers(6)]
    data[at : at + len(change)] = change
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)


def other_format(path: Path, rng: np.random.Generator) -> None:
    kind = rng.choice(["GIF", "PPM", "ICO", "TGA", "PCX", "SGI", "PDF", "DDS"])
    image = Image.open(path).convert("RGB")
    image.save(path, str(kind))


def damaged_as(kind: str, **options) -> Change:
    def change(path: Path, rng: np.random.Generator) -> None:
        file = io.BytesIO()
        Image.open(path).convert("RGB").save(file, kind, **options)
        data = file.getvalue()
        path.write_bytes(data[: rng.integers(len(data) * 9 // 10)])

    return change


def saved(make_image: Callable[[np.random.Generator], Image.Image], **options) -> Change:
    def change(path: Path, rng: np.random.Generator) -> None:
        make_image(rng).save(path, **options)

    return change


def pages(kind: str) -> Change:
    def change(path: Path, rng: np.random.Generator) -> None:
        frames = [Image.fromarray(picture(int(rng.integers(99)))) for _ in range(3)]
        frames[0].save(path, kind, save_all=True, append_images=frames[1:])

    return change


def in_its_place(function: Callable[[Path], None]) -> Change:
    def change(path: Path, rng: np.random.Generator) -> None:
        path.unlink()
        function(path)

    return change


def levels(*values, kind=np.uint8) -> Change:
    def draw(rng: np.random.Generator) -> Image.Image:
        return Image.fromarray(rng.choice(np.array(values, kind), size=(SIDE, SIDE)))

    return saved(draw)


def of_size(*sizes: tuple[int, int]) -> Change:
    return saved(lambda rng: Image.new("L", sizes[rng.integers(len(sizes))], 255))


def transparent(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(255, size=(SIDE, SIDE, 4), dtype=np.uint8))


ANY: dict[str, tuple[Change, int]] = {  # and how many seeds
    "truncated": (truncated, 8),
    "flipped": (flipped, 16),
    "inserted": (inserted, 8),
    "noise": (noise, 5),
    "lying header": (lying_header, 10),
    "other format": (other_format, 6),
    "jpeg": (damaged_as("JPEG"), 3),
    "bmp": (damaged_as("BMP"), 3),
    "tiff": (damaged_as("TIFF"), 3),
    "tiff lzw": (damaged_as("TIFF", compression="tiff_lzw"), 3),
    "webp": (damaged_as("WEBP", lossless=True), 3),
    "tiff pages": (pages("TIFF"), 1),
    "webp pages": (pages("WEBP"), 1),
    "png pages": (pages("PNG"), 1),
    "missing": (in_its_place(lambda path: None), 1),
    "folder": (in_its_place(Path.mkdir), 1),
    "pipe": (in_its_place(os.mkfifo), 1),
    "dangling": (in_its_place(lambda path: path.symlink_to("nowhere")), 1),
    "loop": (in_its_place(lambda path: path.symlink_to(path.name)), 1),
    "empty": (in_its_place(Path.touch), 1),
    "transparent": (saved(transparent), 2),
    "float": (
        saved(lambda rng: Image.fromarray(rng.random((SIDE, SIDE), np.float32)), format="TIFF"),
        1,
    ),
    "16 bits": (levels(0, 300, 65535, kind=np.uint16), 1),
    "size": (of_size((SIDE, SIDE + 1), (1, 1), (24, 24), (SIDE - 1, SIDE)), 4),
}
MASKS: dict[str, tuple[Change, int]] = {
    "labels": (levels(0, 1, 2), 1),
    "palette value": (levels(0, 38), 1),
    "grey": (levels(0, 128, 255), 1),
    "soft": (levels(*range(256)), 2),
    "zero and one among 0 and 255": (levels(0, 1), 1),
    "coloured": (saved(lambda rng: Image.fromarray(picture(int(rng.integers(99))))), 2),
    "inverted palette": (saved(lambda rng: Image.fromarray(mask(3)).convert("1").convert("P")), 1),
    "jpeg": (saved(lambda rng: Image.fromarray(mask(3)), format="JPEG", quality=50), 1),
}
FILES = [(IMAGE, n, c, s) for n, (c, seeds) in ANY.items() for s in range(seeds)]
FILES += [(MASK, n, c, s) for n, (c, seeds) in (ANY | MASKS).items() for s in range(seeds)]


def unguarded(kind: str, **options) -> Change:
    """The file as another format, with a bit flipped."""

    def change(path: Path, rng: np.random.Generator) -> None:
        Image.open(path).convert("RGB").save(path, kind, **options)
        flipped(path, rng)

    return change


UNGUARDED = {
    "jpeg": unguarded("JPEG", quality=95),
    "progressive jpeg": unguarded("JPEG", progressive=True),
    "bmp": unguarded("BMP"),
    "tiff": unguarded("TIFF"),
    "tiff lzw": unguarded("TIFF", compression="tiff_lzw"),
    "webp": unguarded("WEBP", lossless=True),
}


def expected_of(file: str, name: str, good: set[tuple[bytes, bytes]]) -> set[tuple[bytes, bytes]]:
    """What loading must give after a change, where it is not refused."""
    if (file, name) != (MASK, "inverted palette"):
        return good
    return {(i, mask(3).tobytes() if i == picture(2).tobytes() else m) for i, m in good}


# ---------------------------------------------------------------- what is done to the folder


def written(place: str, data: bytes = b"x") -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(data)

    return change


def copied(source: str, place: str) -> Callable[[Path], None]:
    return lambda root: written(place, (root / source).read_bytes())(root)


def renamed(source: str, place: str) -> Callable[[Path], None]:
    return lambda root: (root / source).rename(root / place)


def emptied(*folders: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for folder in folders:
            for path in (root / folder).iterdir():
                path.unlink()

    return change


#: What is done, and what a refusal names; "" where the folder is to be loaded as it was.
FOLDERS = {
    "two masks": (copied(MASK, "masks/cat/2.bmp"), "2.bmp and 2.png are masks of one image"),
    "two images": (copied(IMAGE, "images/cat/2.bmp"), "2.bmp are one name"),
    "hidden class": (copied(IMAGE, "images/.ipynb_checkpoints/2.png"), ""),
    "archive's class": (copied(IMAGE, "images/__MACOSX/2.png"), ""),
    "hidden file": (copied(IMAGE, "images/cat/._2.png"), ""),
    "text": (written("images/cat/notes.txt"), ""),
    "unread ending": (written("images/cat/2.heic"), ""),
    "subfolder": (copied(IMAGE, "images/cat/more/2.png"), ""),
    "class of text": (written("images/cow/notes.txt"), ""),
    "spare mask": (copied(MASK, "masks/cat/9.png"), ""),
    "capital ending": (renamed(IMAGE, "images/cat/2.PNG"), ""),
    "mask's capital ending": (renamed(MASK, "masks/cat/2.PNG"), ""),
    "mask unread": (renamed(MASK, "masks/cat/2.gif"), "masks/cat/2.png is missing"),
    "mask of capital name": (renamed("masks/cat", "masks/Cat"), "masks/cat/0.png"),
    "no masks": (emptied("masks/cat", "masks/dog"), "masks/cat/0.png"),
    "one class": (emptied("images/dog"), "only cat"),
    "no images": (emptied("images/dog", "images/cat"), "images/<class>/*.png"),
    "few": (lambda root: (root / IMAGE).unlink(), "cat (3)"),
    "class is a file": (written("images/cow"), ""),
    "newline": (renamed(IMAGE, "images/cat/2\n.png"), "2\\n.png"),
    "escape": (renamed(IMAGE, "images/cat/\x1b[2J.png"), "x1b[2J.png"),
    "pattern": (renamed(IMAGE, "images/cat/[2]*.png"), "[2]*.png"),
    "not unicode": (renamed(IMAGE, os.fsdecode(b"images/cat/\xff.png")), "udcff.png"),
    "images is a file": (renamed("images", "elsewhere"), "images/<class>"),
    "class loops": (lambda root: (root / "images/cow").symlink_to("cow"), ""),
}


# ---------------------------------------------------------------- masks from elsewhere


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def header_lies(path: Path) -> None:
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**13, 28, 28)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 100)


ARRAYS = {
    "npz": npz,
    "zip": lambda path: path.write_bytes(b"PK\x03\x04" + b"x" * 100),
    "header": header_lies,
    "empty": Path.touch,
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(500)),
    "objects": lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    "words": lambda path: np.save(path, np.array(["a"])),
    "complex": lambda path: np.save(path, np.zeros((1293, 28, 28), np.complex64)),
    "shape": lambda path: np.save(path, np.zeros((1293, 28), np.uint8)),
    "scalar": lambda path: np.save(path, np.uint8(1)),
    "nan": lambda path: np.save(path, np.full((1293, 28, 28), np.nan, np.float32)),
    "negative": lambda path: np.save(path, np.full((1293, 28, 28), -1, np.int16)),
    "large": lambda path: np.save(path, np.full((1293, 28, 28), 300, np.int16)),
    "above one": lambda path: np.save(path, np.full((1293, 28, 28), 1.5, np.float32)),
}
