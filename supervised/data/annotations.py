"""Mask files: what a person says of each pixel, in one of three answers.

    matters (255, soft in between)      does not matter (0)      unknown

Files mean this in many ways, so a set declares its kind (`mask_kind=...`) and every file is decoded
by it or refused by name; nothing is guessed:

    ask       (default) black and white, or 0 and 1, where every reading agrees; else a question
    binary    nearly black and nearly white, as JPEGs leave them
    soft      grey levels are strengths; `mask_range=0,1` for float, 16-bit, 0/1 files
    label     indices of grey or palette files: `mask_label=2` (or 1,3) matters, `mask_unknown=255`
              is unknown, the rest does not matter
    trimap    white, black, and middle grey for unknown
    painted   colour on black or white; `mask_colour=red` is one of several colours, or everything
              but `mask_background=blue` matters
    alpha     the alpha channel is the strength

`mask_label`, `mask_colour`, `mask_background` and `mask_range` imply their kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypedDict, Unpack, get_args

import numpy as np
from PIL import Image, ImageColor

from rl_attn.errors import UserError, choose
from rl_attn.supervised.data.images import (
    Problem,
    is_wide,
    limits_of,
    scaled,
    transparent,
    widened,
)

MaskKind = Literal["ask", "binary", "soft", "label", "trimap", "painted", "alpha"]
_NEAR = 15  # levels that a JPEG's black, grey and white differ by
_APART = 48  # by which a painted colour may differ in a channel


class Annotation(NamedTuple):
    """A mask: where `known` is False its value is 0 and says nothing."""

    values: np.ndarray  # uint8 (H, W), 255 matters
    known: np.ndarray | None = None  # bool (H, W); None: everywhere


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise UserError(f"{option} is {text!r}: it must be an index, or some with commas") from None


def _colour(option: str, text: str) -> tuple[int, int, int] | None:
    try:
        return ImageColor.getrgb(text)[:3] if text else None
    except ValueError:
        raise UserError(f"{option} is {text!r}: name a colour, or write it as #ff0000") from None


class MaskOption(NamedTuple):
    """An option of mask files beside `mask_kind`."""

    parse: Callable[[str, str], Any]  # of its name and text
    kinds: tuple[MaskKind, ...]  # to which it belongs
    implies: MaskKind | None = None  # the kind, where none is said


#: Every option but `mask_kind`; `MaskOptions` has a field for each.
OPTIONS = {
    "mask_label": MaskOption(_numbers, ("label",), "label"),
    "mask_unknown": MaskOption(_numbers, ("label",)),
    "mask_colour": MaskOption(_colour, ("painted",), "painted"),
    "mask_background": MaskOption(_colour, ("painted",), "painted"),
    "mask_range": MaskOption(limits_of, ("binary", "soft", "trimap"), "soft"),
}
#: Those that annotation files have, too: names in place of indices.
NAMES = ("mask_label", "mask_unknown")

#: The options as keyword arguments of whatever reads mask files.
MaskWords = TypedDict(
    "MaskWords", {"mask_kind": MaskKind, **dict.fromkeys(OPTIONS, str)}, total=False
)


@dataclass(frozen=True)
class MaskOptions:
    """How the mask files of a set are meant, or the regions of its annotation files."""

    kind: MaskKind = "ask"
    label: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    colour: tuple[int, int, int] | None = None
    background: tuple[int, int, int] | None = None
    range: tuple[float, float] | None = None
    names: tuple[str, ...] = ()  # of regions that matter; none: all do
    unknown_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, **words: Unpack[MaskWords]) -> MaskOptions:
        """From a data set's options. UserError: a value that is none, or of another kind."""
        kind = choose("mask_kind", words.get("mask_kind", "ask"), get_args(MaskKind))
        given = {name: str(word) for name, word in words.items() if word and name != "mask_kind"}
        implied = [OPTIONS[name].implies for name in OPTIONS if name in given]
        kind = next(filter(None, implied), kind) if kind == "ask" else kind
        for name in given:
            if kind not in OPTIONS[name].kinds:
                raise UserError(
                    f"{name} belongs to mask_kind={' or '.join(OPTIONS[name].kinds)}, which is "
                    f"{kind}"
                )
        if kind == "label" and "mask_label" not in given:
            raise UserError("mask_kind=label needs the index that matters: mask_label=N")
        if "mask_colour" in given and "mask_background" in given:
            raise UserError("mask_colour and mask_background say the same twice: give one")
        fields = {name: option.parse(name, given.get(name, "")) for name, option in OPTIONS.items()}
        return cls(kind, **{name.removeprefix("mask_"): value for name, value in fields.items()})

    @classmethod
    def of_regions(cls, **words: Unpack[MaskWords]) -> MaskOptions:
        """Of annotation files, whose labels are names. UserError: an option of mask files."""
        given = {name: str(word) for name, word in words.items() if word and word != "ask"}
        for name in given:
            if name not in NAMES:
                raise UserError(f"{name} is about mask files and the set has none: leave it out")
        label, unknown = (
            tuple(filter(None, (word.strip() for word in given.get(name, "").split(","))))
            for name in NAMES
        )
        return cls(names=label, unknown_names=unknown)


@dataclass
class MaskReader:
    """Decodes the mask files of one set, and looks at them all together at the end."""

    options: MaskOptions = field(default_factory=MaskOptions)
    _highest: set[int] = field(default_factory=set)  # of each file, as stored
    _labels: set[int] = field(default_factory=set)
    _least: int = 255  # of all decoded values
    _most: int = 0
    _files: int = 0

    def __call__(self, image: Image.Image) -> Annotation:
        """An opened mask file as an annotation; Problem: it is not of the kind declared."""
        values, known = _KINDS[self.options.kind](self, image)
        self._least = min(self._least, int(values.min()))
        self._most = max(self._most, int(values.max()))
        self._files += 1
        if known is None or known.all():
            return Annotation(values)
        return Annotation(np.where(known, values, 0).astype(np.uint8), known)

    def problems(self) -> list[Problem]:
        """What no file shows by itself: two conventions in one set, a kind that never applies."""
        kind, found = self.options.kind, []
        if kind in ("ask", "binary") and {1, 255} <= self._highest:
            found.append("some masks hold 0 and 1, others 0 and 255: save them in one way")
        if kind == "soft" and self.options.range is None and max(self._highest, default=0) == 1:
            found.append("no mask is above 1 of 255: say so by --data-options mask_range=0,1")
        if kind == "label" and self._files and not self._labels & set(self.options.label):
            wanted = ",".join(map(str, self.options.label))
            found.append(f"no mask holds mask_label={wanted}: they hold {_listed(self._labels)}")
        if kind == "painted" and self._files and self._most == 0:
            found.append("no mask has the colour: name it by --data-options mask_colour=#rrggbb")
        if kind == "alpha" and self._files and self._least == 255:
            found.append("no mask has a transparent part: its alpha channel says nothing")
        return [Problem(reason) for reason in found]

    def _grey(self, image: Image.Image) -> np.ndarray:
        """uint8 (H, W) of the file's grey levels, scaled by mask_range where there is one."""
        levels, limits = _levels(image, self.options.range is not None), self.options.range
        grey = levels if limits is None else scaled(levels, limits, "mask_range")
        self._highest.add(int(grey.max()))
        return grey

    def _ask(self, image: Image.Image) -> Annotation:
        if image.mode == "P":
            _same_in_both_readings(image)
        grey = self._grey(image)
        if grey.max() <= 1 and not widened(image):
            return Annotation(grey * 255)
        if np.isin(grey, (0, 255)).all():
            return Annotation(grey)
        raise Problem(
            f"holds levels {_listed(np.unique(grey))}: say how they are meant by --data-options "
            "mask_label=N (indices) or mask_kind=binary|soft|trimap"
        )

    def _binary(self, image: Image.Image) -> Annotation:
        grey = self._grey(image)
        if grey.max() <= 1 and self.options.range is None:
            return Annotation(grey * 255)
        between = grey[(grey > _NEAR) & (grey < 255 - _NEAR)]
        if between.size or 0 < grey.max() <= _NEAR:
            raise Problem(
                f"holds levels {_listed(np.unique(between if between.size else grey))}, neither "
                "black nor white: mask_kind=soft takes them as strengths, mask_label=N as indices"
            )
        return Annotation(np.where(grey > 127, 255, 0).astype(np.uint8))

    def _soft(self, image: Image.Image) -> Annotation:
        return Annotation(self._grey(image))

    def _trimap(self, image: Image.Image) -> Annotation:
        grey = self._grey(image).astype(np.int16)
        on, unknown, off = (np.abs(grey - level) <= _NEAR for level in (255, 128, 0))
        rest = grey[~(on | unknown | off)]
        if rest.size or 0 < grey.max() <= _NEAR:
            raise Problem(
                f"holds levels {_listed(np.unique(rest if rest.size else grey))}, neither black, "
                "middle grey nor white: of indices say mask_label=1 mask_unknown=3"
            )
        return Annotation(on * np.uint8(255), ~unknown)

    def _label(self, image: Image.Image) -> Annotation:
        indices = _indices(image)
        self._labels.update(np.unique(indices).tolist())
        on = np.isin(indices, self.options.label)
        unknown = np.isin(indices, self.options.unknown) & ~on
        return Annotation(on * np.uint8(255), ~unknown)

    def _painted(self, image: Image.Image) -> Annotation:
        if is_wide(image):
            raise Problem("is grey: nothing is painted on it")
        below = Image.new("RGBA", image.size, "black")
        over = Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")
        rgb = np.asarray(over).astype(np.int16)
        colour, background = self.options.colour, self.options.background
        if colour or background:
            near = np.abs(rgb - (colour or background)).max(-1) <= _APART
            return Annotation((near if colour else ~near) * np.uint8(255))
        least, most = rgb.min(-1), rgb.max(-1)
        on = most - least > _APART
        if (~on & (least > _APART) & (most < 255 - _APART)).mean() > 0.05:
            raise Problem("is not colour on black or white: name the colour by mask_colour=#rrggbb")
        return Annotation(on * np.uint8(255))

    def _alpha(self, image: Image.Image) -> Annotation:
        if image.mode not in ("LA", "RGBA", "PA") and "transparency" not in image.info:
            raise Problem("has no alpha channel")
        return Annotation(np.array(image.convert("RGBA").getchannel("A")))


_KINDS: dict[str, Callable[[MaskReader, Image.Image], Annotation]] = {
    "ask": MaskReader._ask,
    "binary": MaskReader._binary,
    "soft": MaskReader._soft,
    "label": MaskReader._label,
    "trimap": MaskReader._trimap,
    "painted": MaskReader._painted,
    "alpha": MaskReader._alpha,
}


def _levels(image: Image.Image, ranged: bool) -> np.ndarray:
    """(H, W) of one channel; Problem: colours, transparent parts, levels of an unknown range."""
    if is_wide(image):
        if not ranged:
            raise Problem(
                f"holds {'float' if image.mode == 'F' else '16-bit'} levels: say which are black "
                "and white by --data-options mask_range=LOW,HIGH, or mask_label=N of indices"
            )
        return np.asarray(image)
    if transparent(image):
        raise Problem("has transparent parts: if they are the mask, say mask_kind=alpha")
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    rgb = np.asarray(image.convert("RGBA").convert("RGB"))
    if (rgb.max(-1) - rgb.min(-1)).max() > _NEAR:
        raise Problem(
            "is coloured: say mask_label=N (indices of a palette), mask_kind=painted (all colours) "
            "or mask_colour=#rrggbb (one of them)"
        )
    return np.asarray(Image.fromarray(rgb).convert("L"))


def _same_in_both_readings(image: Image.Image) -> None:
    """Problem: a palette file that means one thing by its colours, another by its indices."""
    indices = np.asarray(image)
    by_colour = _levels(image, False)
    if not np.array_equal(by_colour > 127, indices > 0) or not np.isin(by_colour, (0, 255)).all():
        raise Problem(
            f"has a palette and holds indices {_listed(np.unique(indices))}: say mask_label=N, or "
            "mask_kind=binary|soft to go by its colours"
        )


def _indices(image: Image.Image) -> np.ndarray:
    """Integers (H, W) as the file has them."""
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if widened(image):
        raise Problem("has fewer than 8 bits a pixel: save its indices with 8")
    if image.mode in ("L", "P") or image.mode.startswith("I"):
        return np.asarray(image)
    raise Problem(f"is of mode {image.mode}, which has no indices: mask_label takes grey, palette")


def _listed(levels, most: int = 8) -> str:
    levels = sorted(int(level) for level in levels)
    more = f", ... {levels[-1]}" if len(levels) > most else ""
    return ", ".join(map(str, levels[:most])) + more
