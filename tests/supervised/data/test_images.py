"""Images as they lie on disks: decoded as viewers show them, by what is declared, or refused."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data.images import ImageOptions, Problem, as_rgb, limits_of, open_picture

#: Red in the upper left quarter of blue, 6 x 4.
SCENE = np.full((4, 6, 3), (0, 0, 200), np.uint8)
SCENE[:2, :3] = (200, 0, 0)

#: EXIF's orientation -> how pixels lie in the file so that viewers show SCENE.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def rgb(path: Path, **options) -> np.ndarray:
    limits = limits_of("image_range", options.get("image_range", ""))
    taken = ImageOptions(limits, options.get("alpha", "ask"))
    return np.asarray(as_rgb(open_picture(path), taken))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_exif_orientation(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](SCENE)))
    more = {"lossless": True} if ending == "webp" else {}
    stored.save(tmp_path / f"x.{ending}", exif=exif, **more)
    assert np.array_equal(rgb(tmp_path / f"x.{ending}"), SCENE)


@pytest.mark.parametrize(
    ("levels", "image_range", "expected"),
    [
        (np.uint16([[0, 32768, 65535]]), "0,65535", [0, 128, 255]),  # 32768 / 257 = 127.5019
        (np.uint16([[100, 2148, 4196]]), "100,4196", [0, 128, 255]),  # 127.5, to the even
        (np.float32([[0, 0.5, 1]]), "0,1", [0, 128, 255]),
        (np.int32([[-1000, -300, 400]]), "-1000,400", [0, 128, 255]),
    ],
)
def test_wide_levels_are_scaled_by_the_declared_range(tmp_path, levels, image_range, expected):
    path = tmp_path / "x.tif"
    Image.fromarray(levels).save(path)
    assert rgb(path, image_range=image_range)[0, :, 1].tolist() == expected
    with pytest.raises(Problem, match=r"x\.tif holds (float|16-bit) levels: .*image_range"):
        opened = open_picture(path)
        try:
            as_rgb(opened, ImageOptions())
        except Problem as problem:
            raise Problem(problem.reason, path) from None
    with pytest.raises(Problem, match=r"outside of image_range=0\.1,0\.2"):
        rgb(path, image_range="0.1,0.2")


def test_levels_that_are_not_finite(tmp_path):
    Image.fromarray(np.float32([[0, np.nan]])).save(tmp_path / "x.tif")
    with pytest.raises(Problem, match="not finite"):
        rgb(tmp_path / "x.tif", image_range="0,1")


@pytest.mark.parametrize("text", ["1", "1,0", "0,x", "0,inf", "0,1,2"])
def test_a_range_is_two_numbers(text):
    with pytest.raises(UserError, match=r"image_range is .*LOW,HIGH"):
        limits_of("image_range", text)


def test_palette_cmyk_grey_and_one_bit(tmp_path):
    image = Image.fromarray(SCENE)
    image.quantize(4).save(tmp_path / "p.png")
    image.convert("CMYK").save(tmp_path / "c.tif")
    for name in ("p.png", "c.tif"):
        assert np.abs(rgb(tmp_path / name).astype(int) - SCENE).max() <= 1, name
    Image.fromarray(SCENE[..., 0] > 100).save(tmp_path / "1.png")
    assert rgb(tmp_path / "1.png")[0, :, 2].tolist() == [255] * 3 + [0] * 3


@pytest.mark.parametrize(("alpha", "shown"), [("white", 255), ("black", 0), ("drop", 90)])
def test_transparent_parts_are_asked_about(tmp_path, alpha, shown):
    pixels = np.full((2, 2, 4), 90, np.uint8)
    pixels[..., 3] = [[255, 255], [0, 0]]
    Image.fromarray(pixels).save(tmp_path / "x.png")
    with pytest.raises(Problem, match=r"transparent parts: choose .*alpha=white\|black\|drop"):
        rgb(tmp_path / "x.png")
    assert rgb(tmp_path / "x.png", alpha=alpha)[:, 0, 0].tolist() == [90, shown]
    pixels[..., 3] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert (rgb(tmp_path / "x.png") == 90).all()  # nothing to ask


def png(width: int, height: int, rows: int, bits: int = 8, colour: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    row = 1 + width * bits // 8 * (3 if colour == 2 else 1)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = zlib.compress(b"\0" * row * rows)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def pages(path: Path) -> None:
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("x.png", lambda p: p.write_bytes(png(60000, 60000, 0)), "exceeds limit"),
        ("x.png", lambda p: p.write_bytes(png(10000, 10000, 1)), "exceeds limit"),
        ("x.png", lambda p: p.write_bytes(b"DDS \x7c\0\0\0" + b"\xff" * 120), "cannot be read"),
        ("x.tif", lambda p: p.write_bytes(b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 50), "cannot be"),
        ("x.png", os.mkfifo, "is not a file"),
        ("x.png", Path.mkdir, "is not a file"),
        ("x.png", lambda p: p.symlink_to("nowhere"), "is missing"),
        ("x.png", Path.touch, "cannot be read"),
        ("x.tif", pages, "has 2 pages"),
        ("x.webp", pages, "has 2 pages"),
        ("x.png", pages, "has 2 pages"),
        ("x.png", lambda p: p.write_bytes(png(2, 2, 2, 16, 2)), "16 bits a colour"),
    ],
)  # fmt: skip
def test_what_is_not_one_image(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(Problem, match=message) as problem:
        open_picture(tmp_path / name)
    assert str(tmp_path / name) in str(problem.value) and "\n" not in str(problem.value)


def test_checksums_of_pngs_are_looked_at(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(256, size=(30, 30), dtype=np.uint8)).save(
        tmp_path / "x.png"
    )
    data = bytearray((tmp_path / "x.png").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(Problem, match="cannot be read"):
        open_picture(tmp_path / "x.png")
