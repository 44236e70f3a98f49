"""CT series in DICOM: which folder holds which, where their slices lie, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl_attn.errors import UserError, one_line

_TAGS = [
    "Modality",
    "SeriesInstanceUID",
    "PatientID",
    "SOPInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]
#: Rows run to the patient's back, columns to the patient's left: how axial CT is stored.
AXIAL = (1, 0, 0, 0, 1, 0)


@dataclass(frozen=True)
class Series:
    """A CT series, its files in no particular order."""

    uid: str
    patient: str
    files: tuple[Path, ...]


def find_series(source: Path) -> dict[str, Series]:
    """The CT series below `source` by UID, one a folder, as TCIA's download lays them out.

    Only one header a folder is read. A series that is there twice is taken once.
    """
    folders: dict[Path, list[Path]] = {}
    for path in sorted(source.rglob("*.dcm")):
        folders.setdefault(path.parent, []).append(path)
    found: dict[str, Series] = {}
    for files in folders.values():
        header = header_of(files[0])
        if header.get("Modality") == "CT":
            uid, patient = str(header.SeriesInstanceUID), str(header.PatientID)
            found.setdefault(uid, Series(uid, patient, tuple(files)))
    return found


def by_uid(series: Series) -> dict[str, Path]:
    """The file of each slice, by its SOP instance UID."""
    return {str(header_of(file).SOPInstanceUID): file for file in series.files}


def by_height(series: Series) -> list[Path]:
    """The files from the feet to the head. UserError: slices that are not axial."""
    heights = {}
    for file in series.files:
        header = header_of(file)
        if not np.allclose(header.ImageOrientationPatient, AXIAL, atol=0.01):
            raise UserError(f"{file} is not an axial slice: its rows and columns are turned")
        heights[file] = float(header.ImagePositionPatient[2])
    return sorted(series.files, key=heights.__getitem__)


def header_of(file: Path):
    """What places a file. UserError: a CT slice that does not say it."""
    header = read(file, pixels=False)
    lacking = [tag for tag in _TAGS if tag not in header]
    if header.get("Modality") == "CT" and lacking:
        raise UserError(f"{file} is a CT slice without {', '.join(lacking)}")
    return header


def hounsfield(file: Path) -> np.ndarray:
    """One slice in Hounsfield units: float32 (H, W)."""
    from pydicom.pixels import apply_rescale

    dataset = read(file)
    try:
        return apply_rescale(dataset.pixel_array, dataset).astype(np.float32)
    except (AttributeError, RuntimeError, ValueError) as error:
        raise UserError(f"{file} has no pixels that can be read ({one_line(error)})") from None


def windowed(hu: np.ndarray, low: float, high: float) -> np.ndarray:
    """Hounsfield units as uint8: `low` and below is 0, `high` and above 255."""
    return np.rint((hu.clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)


def read(file: Path, pixels: bool = True):
    """A pydicom data set: whole, or just what places it. UserError: no DICOM, or no pydicom."""
    try:
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError
    except ImportError:
        raise needs_extra("pydicom") from None
    try:
        return dcmread(file) if pixels else dcmread(file, True, specific_tags=_TAGS)
    except (InvalidDicomError, OSError) as error:
        raise UserError(f"{file} cannot be read as DICOM ({one_line(error)})") from None


def needs_extra(package: str) -> UserError:
    return UserError(f"medical pictures need {package}: pip install 'rl-attn[medical]'")
