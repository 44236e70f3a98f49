"""Slices of abdominal CT through the pancreas: healthy (NIH Pancreas-CT), or with a tumour (MSD).

    PANCREAS_0001/.../*.dcm, label0001.nii.gz       H. Roth et al., DeepOrgan, MICCAI 2015: 80 scans
    Task07_Pancreas/{imagesTr,labelsTr}/*.nii.gz    M. Antonelli et al., The Medical Segmentation
                                                    Decathlon, Nature Communications 13 (2022): 281
                                                    (0 background, 1 pancreas, 2 tumour)

anywhere below the source. This is the set of VAPL (Zhang et al. 2024, Sec. 5.1), which says only
that scans became pictures "similarly to LIDC": here one a scan, its slice with the most pancreas,
or with the most tumour where there is one, in a window of -125 to 275 HU. `mask`: the pancreas with
its tumour, which the paper takes for the truth, or of patients the tumour alone, which it takes for
an inaccurate explanation. Each class comes from hospitals of its own, so scanners tell them apart
too: a shortcut to know of.

Pictures are as a radiologist sees them, rows to the back and columns to the patient's left. NIfTI
says how its arrays lie. Of NIH's labels tools disagree whether that is so (deedsBCV, issue 2), so
each is tried as it says and flipped in every way, and what covers most soft tissue (-50 to 250 HU)
is taken; what it says wins unless another is better by a twentieth. Labels that were flipped are
named: look at the result (`python -m supervised.check pancreas --sheet FILE`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import missing
from rl_attn.supervised.data.prepare.dicom import (
    Series,
    by_height,
    find_series,
    hounsfield,
    needs_extra,
    windowed,
)
from rl_attn.supervised.data.prepare.options import Pancreas
from rl_attn.supervised.data.prepare.samples import Drawn, Sample

LOW, HIGH = -125.0, 275.0  # HU of black and white
SOFT = (-50.0, 250.0)  # HU of a pancreas with contrast medium, fat between its lobes left out
MARGIN = 0.05
PANCREAS, TUMOUR = 1, 2
#: Along (slice, row, column): the ways in which a label may lie, as it says first.
FLIPS = [axes for n in range(4) for axes in combinations(range(3), n)]
WHERE = (
    "Get images and labels of Pancreas-CT from "
    "https://www.cancerimagingarchive.net/collection/pancreas-ct and Task07_Pancreas from "
    "http://medicaldecathlon.com and unpack both there"
)


def pancreas(source: Path, options: Pancreas) -> Iterator[Drawn]:
    """One picture a scan. UserError: one of the two originals is not there, or damaged."""
    healthy = _healthy(source)
    ill = sorted(source.rglob("imagesTr/pancreas_*.nii.gz"))
    if not healthy:
        raise missing(
            "Pancreas-CT", [f"{source}/**/PANCREAS_*/**/*.dcm", f"{source}/**/label*.nii.gz"], WHERE
        )
    if not ill:
        raise missing("Task07_Pancreas", [f"{source}/**/imagesTr/pancreas_*.nii.gz"], WHERE)
    for series, label in healthy:
        volume = np.stack([hounsfield(file) for file in by_height(series)])
        mask = upright(label) > 0
        _check(volume, mask, label)
        straight = aligned(volume, mask)
        if straight is not mask:
            print(f"{label.name} lies otherwise than it says: flipped")
        k = largest(straight, label)
        name = series.patient
        yield _drawn("healthy", name, volume[k], straight[k])
    for image in ill:
        label = image.parent.parent / "labelsTr" / image.name
        volume, marked = upright(image), upright(label)
        _check(volume, marked, label)
        k = largest(marked == TUMOUR if (marked == TUMOUR).any() else marked > 0, label)
        chosen = marked[k] == TUMOUR if options.mask == "tumour" else marked[k] > 0
        yield _drawn("tumour", image.name.partition(".")[0], volume[k], chosen)


def upright(file: Path) -> np.ndarray:
    """A NIfTI volume as DICOM would show it: float32 (slice from the feet, row, column)."""
    try:
        import nibabel
    except ImportError:
        raise needs_extra("nibabel") from None
    try:
        image = nibabel.as_closest_canonical(nibabel.load(file))  # to right, front, head
        array = np.asarray(image.dataobj, np.float32)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{file} cannot be read as NIfTI ({' '.join(str(error).split())})"
        ) from None
    if array.ndim != 3:
        raise UserError(f"{file} has {array.ndim} dimensions: it must be a volume")
    return array[::-1, ::-1].transpose(2, 1, 0)


def aligned(volume: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask in the order that covers most soft tissue; as it is unless another is better."""
    soft = (volume >= SOFT[0]) & (volume <= SOFT[1])
    orders = [np.flip(mask, axes) for axes in FLIPS]
    covers = [soft[one].mean() if one.any() else 0.0 for one in orders]
    best = int(np.argmax(covers))
    return orders[best] if covers[best] > covers[0] + MARGIN else mask


def largest(mask: np.ndarray, label: Path) -> int:
    """The slice with most of it. UserError: an empty mask."""
    areas = mask.sum((1, 2))
    if not areas.any():
        raise UserError(f"{label} marks nothing: get it again")
    return int(areas.argmax())


def _healthy(source: Path) -> list[tuple[Series, Path]]:
    """Scans of Pancreas-CT with their labels. UserError: a scan without one."""
    labels = {path.name[5:9]: path for path in sorted(source.rglob("label*.nii.gz"))}
    scans = {}
    for series in find_series(source).values():
        name, _, number = series.patient.partition("_")
        if name == "PANCREAS":
            scans[number] = series
    lacking = sorted(scans.keys() - labels.keys()) if labels else []
    if lacking:
        raise missing(f"the labels of Pancreas-CT's {', '.join(lacking)}", [f"{source}/**"], WHERE)
    return [(scans[number], labels[number]) for number in sorted(scans) if number in labels]


def _check(volume: np.ndarray, mask: np.ndarray, label: Path) -> None:
    if volume.shape != mask.shape:
        raise UserError(f"{label} is {mask.shape}, its scan {volume.shape}: get both again")


def _drawn(category: str, patient: str, slice_: np.ndarray, mask: np.ndarray) -> Drawn:
    sample = Sample(category, f"{patient}.png", patient)
    return Drawn(sample, windowed(slice_, LOW, HIGH), mask.astype(np.uint8) * 255)
