"""NIfTI label maps, one an image, named as the image is: each number is a label, 0 none.

nifti.nimh.nih.gov, read by nibabel. The first axis is the image's columns, as ITK, 3D Slicer and
ITK-SNAP write what was drawn on an image file. A volume of several slices is none of one image.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rl_attn.supervised.data.images import Problem
from rl_attn.supervised.data.prepare.dicom import needs_extra
from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import Marks, Region, read_files, stored


@READERS.register("nifti")
def read(place: Path) -> Iterator[Marks]:
    for ending in (".nii",) if place.is_file() else (".nii", ".nii.gz"):
        yield from read_files("NIfTI", place, ending, _parse)


def _parse(file: Path) -> list[Marks]:
    try:
        import nibabel
    except ImportError:
        raise needs_extra("nibabel") from None
    labels = np.asarray(nibabel.load(file).dataobj)
    if labels.ndim < 2 or labels.size != labels.shape[0] * labels.shape[1]:
        sides = "x".join(map(str, labels.shape))
        raise Problem(f"is a volume of {sides}: save the slice of each image by itself", file)
    labels = labels.reshape(labels.shape[:2]).T  # (H, W)
    if not np.array_equal(labels, np.rint(labels)):
        raise Problem("holds numbers that are no labels", file)
    regions = tuple(
        Region(str(int(label)), stored(labels == label)) for label in np.unique(labels[labels != 0])
    )
    name = file.name.removesuffix(".gz").removesuffix(".nii")
    return [Marks(name, regions, (), (labels.shape[1], labels.shape[0]), file)]
