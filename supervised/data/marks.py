"""Annotation files and the images that they speak of: matched by name, drawn as masks.

`READERS` says what files hold. A name in them may have other folders before it than the image has
here, or another ending: the image is the one with the same name and the most folders in common with
it, else with the annotation file, just before the names or from the top. A name that still fits
several images is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import numpy as np

from rl_attn.errors import UserError, one_line
from rl_attn.supervised.data.annotations import Annotation, MaskOptions
from rl_attn.supervised.data.images import Problem
from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import Marks, Region

#: What may follow a file's name and be none of it: .png, .jp2; not the .2 of IMG.2
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")


@dataclass(frozen=True)
class Marked:
    """All that files say of one image; one of the things that `Picture.masks` holds."""

    marks: tuple[Marks, ...]
    options: MaskOptions

    @property
    def labels(self) -> list[str]:
        """Of the image, else of its regions, without those that say what is unknown."""
        whole = [label for one in self.marks for label in one.labels]
        parts = [region.label for one in self.marks for region in one.regions]
        return sorted({*(whole or parts)} - {*self.options.unknown_names})

    def of_label(self, label: str) -> Marked:
        """With the regions of a label as those that matter, unless it was said which do."""
        if self.options.names or label not in {r.label for m in self.marks for r in m.regions}:
            return self
        return replace(self, options=replace(self.options, names=(label,)))

    def annotation(self, width: int, height: int) -> Annotation:
        """What matters in the image; Problem: it is of another size."""
        on, unknown = (np.zeros((height, width), bool) for _ in range(2))
        for one in self.marks:
            if one.size not in (None, (width, height)):
                raise Problem(
                    f"is {width}x{height} as viewers show it, and {one.file.name} speaks of "
                    f"{one.size[0]}x{one.size[1]}"
                )
            for region in one.regions:
                if region.label in self.options.unknown_names:
                    unknown |= _drawn(region, one.file, height, width)
                elif not self.options.names or region.label in self.options.names:
                    on |= _drawn(region, one.file, height, width)
        values = on * np.uint8(255)
        return Annotation(values, ~unknown | on if unknown.any() else None)


def _drawn(region: Region, file: Path, height: int, width: int) -> np.ndarray:
    """bool (H, W). Problem: a region that cannot be drawn, or has another size."""
    try:
        drawn = region.draw(height, width)
    except Exception as error:  # of whatever a file says
        reason = one_line(error, named=True)
        raise Problem(f"has a region in {file.name} that cannot be drawn ({reason})") from None
    if drawn.shape != (height, width):
        raise Problem(
            f"has a region of {drawn.shape[1]}x{drawn.shape[0]} in {file.name} and is "
            f"{width}x{height}"
        )
    return drawn


@dataclass
class Annotated:
    """The annotation files of one set."""

    form: str
    place: Path
    options: MaskOptions
    spare: int = 0  # marks of images that are not here
    regions: Counter[str] = field(default_factory=Counter)  # by label

    def of(self, images: Sequence[Path]) -> tuple[dict[Path, Marked], list[Problem]]:
        """What is said of each image of which something is said."""
        found: dict[Path, list[Marks]] = {}
        named: dict[str, list[Path]] = {}
        problems = []
        for image in images:
            named.setdefault(normalize("NFC", image.stem), []).append(image)
        for marks in READERS[self.form](self.place):
            self.regions.update(region.label for region in marks.regions)
            fitting = _fitting(marks, named)
            if len(fitting) > 1:
                others = ", ".join(str(path.parent.name) for path in fitting)
                reason = f"says {marks.image}, which is in {others}: name its folder"
                problems.append(Problem(reason, marks.file))
            elif fitting:
                found.setdefault(fitting[0], []).append(marks)
            self.spare += not fitting
        if not found and not problems:
            raise UserError(
                f"no {self.form} annotation of these images is in {self.place}: name the file or "
                "folder by --data-options annotations=PLACE"
            )
        problems += self._strangers()
        return {image: Marked(tuple(m), self.options) for image, m in found.items()}, problems

    def _strangers(self) -> Iterable[Problem]:
        """Labels that were asked for and that no region has."""
        listed = ", ".join(f"{name} ({count})" for name, count in self.regions.most_common(12))
        asked = {"mask_label": self.options.names, "mask_unknown": self.options.unknown_names}
        for option, names in asked.items():
            for name in {*names} - {*self.regions}:
                yield Problem(f"no region is labelled {option}={name}: they are {listed}")


def _fitting(marks: Marks, named: dict[str, list[Path]]) -> list[Path]:
    """The images that a name may mean."""
    name = PurePosixPath(normalize("NFC", marks.image))
    stem = name.stem if _ENDING.fullmatch(name.suffix) else name.name
    images = named.get(name.name, named.get(stem, []))
    folders, beside = name.parent.parts, marks.file.parent.parts
    ranks = (
        lambda p: _alike(p.parent.parts[::-1], folders[::-1]),
        lambda p: _alike(p.parent.parts[::-1], beside[::-1]),
        lambda p: _alike(p.parent.parts, beside),
    )
    for rank in ranks:
        best = max(map(rank, images), default=0)
        images = [image for image in images if rank(image) == best]
    return images


def _alike(first: Sequence[str], second: Sequence[str]) -> int:
    """How many of both are the same, from the first on."""
    pairs = list(zip(first, second, strict=False))
    return next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))


def formats_in(root: Path) -> list[str]:
    """The formats of which a folder holds files: to say which one to name."""
    found = []
    for form in READERS:
        try:
            found += [form] if next(iter(READERS[form](root)), None) else []
        except Exception:  # whatever a reader does with files that are none of its own
            continue
    return found
