"""Images in DICOM, and segmentations of them written by highdicom."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
import torch
from conftest import HEIGHT, WIDTH, drawn, names, write_masks
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from rl_attn.errors import UserError
from rl_attn.supervised.check import main
from rl_attn.supervised.data import load


def slice_of_ct(file: Path, hu: np.ndarray, series: str, number: int) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"{series}.{number + 1}"
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{series}.100", f"{series}.101"
    data.FrameOfReferenceUID = f"{series}.102"
    for name in ("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
        setattr(data, name, "")
    data.StudyDate, data.StudyTime, data.ReferringPhysicianName = "20260101", "000000", ""
    data.Modality, data.PatientID, data.InstanceNumber = "CT", "P1", number + 1
    data.ImagePositionPatient = [0, 0, 2.5 * number]
    data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
    data.SliceThickness, data.RescaleSlope, data.RescaleIntercept = 2.5, 1, -1024
    data.Rows, data.Columns = hu.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PixelData = (hu + 1024).astype("<u2").tobytes()
    data.save_as(file, enforce_file_format=True)
    return data


@pytest.fixture
def scan(folder: Path) -> Path:
    """The images as slices of one CT, a level of 300 in each; a SEG with lesion and bone."""
    series, slices = generate_uid(), []
    for i, name in enumerate(names()):
        file = folder / "images" / name
        levels = np.array(Image.open(file).convert("L")).astype(int)
        levels[0, 0] = 300
        slices.append(slice_of_ct(file.with_suffix(".dcm"), levels, series, i))
        file.unlink()
    bone = np.zeros((8, HEIGHT, WIDTH), bool)
    bone[:, -1, -1] = True
    marked = np.stack([np.stack([drawn(i) for i in range(8)]), bone], -1).astype(np.uint8)
    segments = [
        highdicom.seg.SegmentDescription(
            number, label, codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL"
        )
        for number, label in ((1, "lesion"), (2, "bone"))
    ]
    seg = highdicom.seg.Segmentation(
        slices, marked, "BINARY", segments, generate_uid(), 1, generate_uid(), 1,
        "maker", "model", "1", "0",
    )  # fmt: skip
    seg.save_as(folder / "seg.dcm")
    return folder


def test_a_segmentation_and_its_images(scan, png, capsys):
    options = {"format": "dicom-seg", "mask_label": "lesion", "image_range": "0,255"}
    data = load("masked-folder", scan, **options)
    expected = load("masked-folder", write_masks(png, [drawn(i) for i in range(8)]))
    for name, part in expected.splits.items():
        grey = torch.from_numpy(
            np.stack([np.array(Image.open(png / file).convert("L")) for file in part.names])
        )
        grey[:, 0, 0] = 255  # cut off at the end of the range
        got = data.splits[name]
        assert torch.equal(got.images, grey[:, None].expand(-1, 3, -1, -1))
        assert torch.equal(got.masks, part.masks) and torch.equal(got.labels, part.labels)
    flags = [f"{key}={value}" for key, value in options.items()]
    assert main([str(scan), "--data-options", *flags]) == 0
    shown = capsys.readouterr().out
    assert "modes: DICOM (8)" in shown and "lesion (8), bone (8)" in shown


def test_the_window_is_asked_for(scan):
    with pytest.raises(UserError, match=r"8 problems .* say which are black and white by"):
        load("masked-folder", scan, format="dicom-seg")


def test_a_volume_is_no_mask_of_one_image(folder):
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), folder / "a.nii")
    with pytest.raises(UserError, match=r"a\.nii is a volume of 4x5x6: save the slice"):
        load("masked-folder", folder, format="nifti")
