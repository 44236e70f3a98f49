"""Images in DICOM files of one frame: slices of CT and MR, radiographs, photographs.

Grey levels are rescaled as the file says (Hounsfield units of CT); which of them are black and
white is `image_range`, beyond which they are cut off, as a radiologist's window does it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rl_attn.supervised.data.images import INVERTED, WINDOWED, Problem
from rl_attn.supervised.data.prepare.dicom import read


def open_dicom(path: Path) -> Image.Image:
    """RGB, or grey levels as float32. Problem: several frames, or pixels that cannot be read."""
    dataset = read(path)
    if int(dataset.get("NumberOfFrames", 1)) > 1:
        raise Problem(f"has {dataset.NumberOfFrames} frames: save the one that counts by itself")
    from pydicom.pixels import apply_rescale, pixel_array

    pixels = pixel_array(dataset)
    if pixels.ndim == 3:
        return Image.fromarray(pixels)
    image = Image.fromarray(np.asarray(apply_rescale(pixels, dataset), np.float32))
    image.info[WINDOWED] = True
    image.info[INVERTED] = dataset.PhotometricInterpretation == "MONOCHROME1"
    return image
