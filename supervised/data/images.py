"""Image files, opened with care and decoded to 8-bit RGB: the one place that does so.

What a file says of itself is followed: its EXIF orientation, its palette, CMYK. What it leaves open
is asked about, and the file named: the range of 16-bit and float levels (`image_range=0,65535`),
what shows through transparent parts (`alpha=white`). What cannot be one picture is refused: several
pages, an animation, a damaged file, a pipe, more pixels than Pillow's limit (looked at in the
header). Only the formats of SUFFIXES are tried, whatever a file's ending says, but for DICOM's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageOps

from rl_attn.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm")
Alpha = Literal["ask", "white", "black", "drop"]
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_SHOWN, _ALIKE = 12, 3  # problems that one message names, and files of the same problem
# Keys in Image.info: bits a channel that Pillow has changed to 8; of DICOM, levels that are cut off
# at their range, and whose high ones are dark.
_BITS, WINDOWED, INVERTED = "bits", "windowed", "inverted"


class Problem(Exception):
    """What is wrong with one file; collected, see `report`.

    ask: what the options of a data set have to say of it.
    """

    def __init__(self, found: str, path: Path | None = None, ask: str = ""):
        reason = f"{found}: {ask}" if ask else found
        super().__init__(reason if path is None else f"{named(path)} {reason}")
        self.found, self.ask, self.reason, self.path = found, ask, reason, path


def named(path: Path | str) -> str:
    """A file's name on one line, whatever its name holds."""
    return str(path) if str(path).isprintable() else repr(str(path))


def report(problems: Sequence[Problem]) -> None:
    """Raise one UserError of one line for all of them, nothing if there are none."""
    if not problems:
        return
    told = described(problems)
    rest = f"; and {len(told) - _SHOWN} other kinds" if len(told) > _SHOWN else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise UserError(f"{count} with images: {'; '.join(told[:_SHOWN])}{rest}")


def described(problems: Sequence[Problem]) -> list[str]:
    """A line for each kind of problem: like ones together."""
    alike: dict[str, list[Problem]] = {}
    for problem in problems:
        alike.setdefault(problem.reason, []).append(problem)
    told = []
    for reason, group in alike.items():
        files = [named(p.path) for p in group[:_ALIKE] if p.path is not None]
        more = f" and {len(group) - _ALIKE} more" if len(group) > _ALIKE else ""
        each = ": each" if len(group) > 1 else ""
        told.append(f"{', '.join(files)}{more}{each} {reason}" if files else reason)
    return told


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def open_picture(path: Path) -> Image.Image:
    """The one image of a file, decoded and turned as its EXIF says, or a Problem."""
    if not path.is_file():  # a pipe would be waited for
        raise Problem("is not a file" if path.exists() else "is missing", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decoded(path)
    except Problem as problem:
        raise Problem(problem.reason, path) from None
    except MemoryError:
        raise Problem("does not fit into memory", path) from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        reason = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
        raise Problem(f"cannot be read ({reason})", path) from None


def _decoded(path: Path) -> Image.Image:
    if path.suffix.lower() == ".dcm":
        from rl_attn.supervised.data.dicom_images import open_dicom

        return open_dicom(path)
    with Image.open(path, formats=_FORMATS) as image:
        if image.format == "PNG":
            image.verify()  # checksums, which decoding skips
    with Image.open(path, formats=_FORMATS) as image:
        # of a phone's MPO the first image is the photograph
        pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        if pages > 1:
            raise Problem(f"has {pages} pages: save the one that counts by itself")
        raw = str(image.tile[0][3]) if image.tile else ""
        image.load()
        if ";16" in raw and not image.mode.startswith("I"):
            raise Problem("has 16 bits a colour: save it with 8, by the range that its values have")
        bits = next((n for n in (2, 4) if f"L;{n}" in raw), 8)
        turned = ImageOps.exif_transpose(image)
        turned.info[_BITS] = bits
        return turned


def widened(image: Image.Image) -> bool:
    """Whether Pillow has scaled 2 or 4 bits of grey to 8: its levels are no longer the file's."""
    return image.info.get(_BITS, 8) < 8


def is_wide(image: Image.Image) -> bool:
    """Whether its levels have more than 8 bits, so that their range has to be declared."""
    return image.mode.startswith(("I", "F"))


def transparent(image: Image.Image) -> bool:
    """Whether some of its pixels are not opaque."""
    if image.mode not in ("LA", "RGBA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return False
    return not is_wide(image) and image.convert("RGBA").getchannel("A").getextrema()[0] < 255


def scaled(levels: np.ndarray, limits: tuple[float, float], option: str) -> np.ndarray:
    """Levels of any kind as uint8: the first of `limits` is 0, the second 255.

    Problem: levels outside of them, or that are not finite.
    """
    low, high = limits
    values = levels.astype(np.float64)
    if not np.isfinite(values).all():
        raise Problem("holds levels that are not finite")
    if values.min() < low or values.max() > high:
        raise Problem(
            f"holds levels from {values.min():g} to {values.max():g}, outside of "
            f"{option}={low:g},{high:g}"
        )
    return np.rint((values - low) * (255 / (high - low))).astype(np.uint8)


def limits_of(option: str, text: str) -> tuple[float, float] | None:
    """An option of two numbers, LOW,HIGH; None if it is empty."""
    if not text:
        return None
    try:
        low, high = map(float, text.split(","))
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError
    except ValueError:
        raise UserError(
            f"{option} is {text!r}: it must be two numbers, LOW,HIGH, such as {option}=0,65535"
        ) from None
    return low, high


@dataclass(frozen=True)
class ImageOptions:
    """What the files of a set leave open."""

    limits: tuple[float, float] | None = None  # levels of 16-bit and float images: black and white
    alpha: Alpha = "ask"  # what shows through; "drop" takes the colour that lies below


def as_rgb(image: Image.Image, options: ImageOptions) -> Image.Image:
    """An opened image as 8-bit RGB, or a Problem that names the option that it needs."""
    if is_wide(image):
        levels = np.asarray(image)
        if options.limits is None:
            raise Problem(
                f"holds {'float' if image.mode == 'F' else '16-bit'} levels",
                ask="say which are black and white by --data-options image_range=LOW,HIGH",
            )
        if image.info.get(WINDOWED):
            levels = levels.clip(*options.limits)
        grey = scaled(levels, options.limits, "image_range")
        return Image.fromarray(255 - grey if image.info.get(INVERTED) else grey).convert("RGB")
    if transparent(image):
        if options.alpha == "ask":
            choices = "|".join(get_args(Alpha)[1:])
            raise Problem("has transparent parts", ask=f"choose by --data-options alpha={choices}")
        if options.alpha != "drop":
            rgba = image.convert("RGBA")
            below = Image.new("RGBA", image.size, options.alpha)
            return Image.alpha_composite(below, rgba).convert("RGB")
    try:
        return image.convert("RGBA").convert("RGB") if image.mode == "PA" else image.convert("RGB")
    except ValueError as error:
        raise Problem(f"has colours of mode {image.mode} ({error}): save it as RGB") from None
