"""CT series written as scanners do, small."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

INTERCEPT = -1024


def write_series(
    folder: Path, uid: str, patient: str, volume: np.ndarray, modality: str = "CT"
) -> list[str]:
    """Hounsfield units (slice from the feet, row, column) as DICOM, slice by slice from the head,
    under names that say nothing. The slices' UIDs, from the feet."""
    folder.mkdir(parents=True)
    uids = [f"{uid}.{k + 1}" for k in range(len(volume))]
    for k, (one, hu) in enumerate(zip(uids, volume, strict=True)):
        file = folder / f"1-{len(volume) - k:03d}.dcm"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = one
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = Dataset()
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID = CTImageStorage, one, uid
        data.Modality, data.PatientID = modality, patient
        data.ImagePositionPatient, data.ImageOrientationPatient = (
            [0, 0, 2.5 * k],
            [1, 0, 0, 0, 1, 0],
        )
        data.RescaleSlope, data.RescaleIntercept = 1, INTERCEPT
        data.Rows, data.Columns = hu.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.PixelData = (hu - INTERCEPT).astype("<u2").tobytes()
        data.save_as(file, enforce_file_format=True)
    return uids
