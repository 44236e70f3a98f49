"""From an image of anybody's to what a trained network takes: as its data set had it.

    inputs = Inputs.of(dataset_of_the_run, view, "letterbox")
    inputs.pictures(inputs.read(opened("x.png")))   # (1, C, H, W), normalised

A checkpoint holds them (`as_dict`), so that a network can be asked where its data set is not.

Letters: C channels, H x W pixels.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.supervised.batches import View, cropped
from rl_attn.supervised.data.annotations import MaskReader
from rl_attn.supervised.data.fit import Fit, fitted, fitted_annotation
from rl_attn.supervised.data.images import (
    ImageOptions,
    Problem,
    as_rgb,
    is_picture,
    open_picture,
    report,
)
from rl_attn.supervised.tasks import Classes, Labels, Number

#: An image's file, the image, or its pixels (H, W), (H, W, 1 or 3) uint8.
Source = str | Path | Image.Image | np.ndarray


@dataclass(frozen=True)
class Inputs:
    """Plain values, so that a checkpoint holds them."""

    classes: tuple[str, ...]
    stored: tuple[int, int]  # (H, W) that images are brought to
    crop: tuple[int, int] | None  # (H, W) of their centre that is seen; None: all
    channels: int  # of what the network takes
    grey: bool  # whether the data set's images have one channel
    mean: tuple[float, ...]  # of images in [0, 1]
    std: tuple[float, ...]
    fit: Fit = "letterbox"
    several: bool = False  # whether an image may have several labels, each of a probability
    number: tuple[float, float] | None = None  # mean and standard deviation of what is predicted

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Inputs":
        """What `as_dict` gave."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of what the network sees."""
        return self.crop or self.stored

    @property
    def task(self) -> Classes:
        if self.number is not None:
            return Number(*self.number)
        return Labels() if self.several else Classes()

    def view(self, device: torch.device) -> View:
        mean, std = (torch.tensor(values, device=device) for values in (self.mean, self.std))
        return View(self.crop, self.channels, mean, std)

    def read(self, image: Image.Image) -> Tensor:
        """An opened image as uint8 (1, 1 or 3, H, W)."""
        image = image.convert("L") if self.grey else image
        pixels = np.array(fitted(image, self._side, self.fit))
        images = torch.from_numpy(pixels.reshape(*self.stored, -1)).permute(2, 0, 1)[None]
        return images if self.crop is None else cropped(images, None, self.crop, None)[0]

    def read_mask(
        self, path: Path, reader: MaskReader, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        """(H, W) in [0, 1] and what is known of it, None for all; UserError: no such mask, or not
        of its image's size (width, height)."""
        image = opened_mask(path, size)
        try:
            annotation = reader(image)
        except Problem as problem:
            report([Problem(problem.reason, path)])
            raise
        annotation = fitted_annotation(annotation, self._side, self.fit)
        values = torch.from_numpy(annotation.values)[None, None]
        known = None if annotation.known is None else torch.from_numpy(annotation.known)
        if self.crop is not None:
            values = cropped(values, None, self.crop, None)[0]
            if known is not None:
                known = cropped(known[None, None], None, self.crop, None)[0][0, 0]
        return values[0, 0].float() / 255, known

    @property
    def _side(self) -> int | tuple[int, int]:
        height, width = self.stored
        return height if height == width else self.stored


def opened(source: Source, options: ImageOptions | None = None) -> Image.Image:
    """As 8-bit RGB; UserError: no image."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3):
            raise UserError(
                f"an image is (H, W) or (H, W, 3) uint8, got {source.dtype} {source.shape}"
            )
        grey = source.ndim == 3 and source.shape[2] == 1
        source = Image.fromarray(source[..., 0] if grey else source)
    if isinstance(source, Image.Image):
        return source.convert("RGB")
    try:
        return as_rgb(open_picture(Path(source)), options or ImageOptions())
    except Problem as problem:
        # What training was not told by --data-options is not asked for now.
        ask = "save it as 8-bit RGB" if problem.ask else ""
        report([Problem(problem.found, Path(source), ask)])
        raise


def opened_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """A mask file as it is; UserError: none, or not of its image's size (width, height)."""
    try:
        mask = open_picture(path)
    except Problem as problem:
        report([problem])
        raise
    if mask.size != size:
        (width, height), (across, down) = mask.size, size
        raise UserError(f"mask {path} is {width}x{height}, its image {across}x{down}")
    return mask


def mask_beside(image: Path, masks: Path | None = None) -> Path | None:
    """The mask file of an image: `x_mask.png` beside `x.png`, or `masks/.../x.png` for
    `images/.../x.png`, or the one of its name in the folder `masks`; None: there is none."""
    places = [(image.parent, f"{image.stem}_mask"), (image.parent / "masks", image.stem)]
    parts = list(image.absolute().parts)
    if masks is not None:
        folders = [masks, masks / image.parent.name]
        places = [(folder, stem) for folder in folders for stem in (image.stem, places[0][1])]
    elif "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        folder = Path(*parts[:at], "masks", *parts[at + 1 : -1])
        places += [(folder, image.stem), (folder, places[0][1])]
    for folder, stem in places:
        found = [p for p in sorted(folder.glob(f"{escape(stem)}.*")) if is_picture(p)]
        if found:
            return found[0]
    return None
