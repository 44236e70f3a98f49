"""The pancreas sets: healthy scans in DICOM with NIfTI labels, ill ones in NIfTI."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from originals import write_series
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.prepare.__main__ import main
from rl_attn.supervised.data.prepare.pancreas import aligned, upright

SHAPE = (4, 12, 10)  # slices from the feet, rows, columns
FAT, TISSUE, TUMOUR = -125, 75, 275  # 0, 127.5 and 255 in the window


def write_nifti(file: Path, volume: np.ndarray, codes: str = "LPS") -> None:
    """(slice, row, column) as NIfTI, whose array runs in the directions of `codes`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    array = volume.transpose(2, 1, 0)  # columns to the left, rows to the back, slices to the head
    lps = np.diag([-1.0, -1.0, 2.5, 1.0])
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("LPS"), nibabel.orientations.axcodes2ornt(codes)
    )
    image = nibabel.Nifti1Image(array.astype(np.int16), lps).as_reoriented(turn)
    nibabel.save(image, file)


def organ() -> tuple[np.ndarray, np.ndarray]:
    """A scan and its label: the pancreas at rows 1 to 3, columns 2 to 7 of slice 1, one column
    less in slice 0; nothing there is symmetrical."""
    label = np.zeros(SHAPE, int)
    label[1, 1:4, 2:8] = 1
    label[0, 1:4, 2:7] = 1
    return np.where(label > 0, TISSUE, FAT), label


@pytest.fixture
def original(tmp_path) -> Path:
    """Six healthy scans, one of whose labels lies upside down, and six with a tumour: one pixel in
    slice 0, fewer of the pancreas there."""
    root = tmp_path / "original"
    for p in range(1, 7):
        volume, label = organ()
        folder = root / f"Pancreas-CT/PANCREAS_000{p}/study/series"
        write_series(folder, f"1.2.{p}", f"PANCREAS_000{p}", volume)
        stored = label[:, ::-1] if p == 2 else label
        write_nifti(root / f"labels/label000{p}.nii.gz", stored, "RAS" if p == 3 else "LPS")
        label[0, 2, 4] = 2
        volume[0, 2, 4] = TUMOUR
        for part, what in (("imagesTr", volume), ("labelsTr", label)):
            write_nifti(root / f"Task07_Pancreas/{part}/pancreas_00{p}.nii.gz", what, "LAS")
    return root


def prepare(original: Path, *options: str) -> Path:
    to = original.parent / "pancreas"
    assert main(["pancreas", "--from", str(original), "--to", str(to), *options]) == 0
    return to


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


def test_the_slice_with_most_of_it(original, capsys):
    to = prepare(original)
    said = capsys.readouterr().out
    assert "wrote 6 healthy, 6 tumour to" in said
    assert "label0002.nii.gz lies otherwise than it says" in said and said.count("otherwise") == 1
    want = np.zeros(SHAPE[1:], np.uint8)
    want[1:4, 2:8] = 255
    for p in (1, 2, 3):  # as stored, upside down, and in another order that its header tells
        assert np.array_equal(pixels(to / f"masks/healthy/PANCREAS_000{p}.png"), want)
        shown = pixels(to / f"images/healthy/PANCREAS_000{p}.png")
        assert np.array_equal(shown > 0, want > 0) and shown.max() == 128  # 127.5, to even
    ill = pixels(to / "masks/tumour/pancreas_001.png")
    want[:, 7] = 0
    assert np.array_equal(ill, want)  # of the tumour's slice, pancreas and tumour
    shown = pixels(to / "images/tumour/pancreas_001.png")
    assert np.argwhere(shown == 255).tolist() == [[2, 4]]
    assert np.array_equal(shown > 0, want > 0)


def test_the_tumour_alone(original):
    to = prepare(original, "--pancreas.mask", "tumour")
    assert np.argwhere(pixels(to / "masks/tumour/pancreas_004.png")).tolist() == [[2, 4]]
    assert (pixels(to / "masks/healthy/PANCREAS_0004.png") > 0).sum() == 18


def test_parts_have_equal_shares(original):
    prepare(original)
    data = load("pancreas", original.parent, size=12, train=4, validation=2)
    assert {name: part.labels.bincount().tolist() for name, part in data.splits.items()} == {
        "train": [2, 2], "validation": [1, 1], "test": [3, 3],
    }  # fmt: skip
    whose = [part.subjects.tolist() for part in data.splits.values()]
    assert sorted(i for part in whose for i in part) == list(range(12))
    with pytest.raises(UserError, match=r"validation=30 needs 15 pictures .* 4 healthy, 4 tumour"):
        load("pancreas", original.parent, train=4)
    with pytest.raises(UserError, match="train of pancreas is 1: it must be 0"):
        load("pancreas", original.parent, train=1)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS", "PIR", "SAL"])
def test_headers_tell_how_arrays_lie(tmp_path, codes):
    volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    write_nifti(tmp_path / "x.nii.gz", volume, codes)
    assert np.array_equal(upright(tmp_path / "x.nii.gz"), volume)


def test_labels_are_turned_only_where_that_is_better():
    volume, label = organ()
    for axes in ((), (0,), (1,), (2,), (0, 1), (0, 1, 2)):
        assert np.array_equal(aligned(volume, np.flip(label, axes) > 0), label > 0)
    everywhere = np.full(SHAPE, TISSUE)
    assert np.array_equal(aligned(everywhere, label[:, ::-1] > 0), label[:, ::-1] > 0)


def test_mistakes(original, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError, match=r"Pancreas-CT was not found; .*PANCREAS_.*medicaldecathlon"
    ):
        main(["pancreas", "--from", str(tmp_path / "empty"), "--to", str(tmp_path / "pancreas")])
    label = original / "labels" / "label0001.nii.gz"
    write_nifti(label, np.ones((3, 12, 10)))
    with pytest.raises(UserError, match=r"label0001\.nii\.gz is \(3, 12, 10\), its scan \(4, 12"):
        prepare(original)
    write_nifti(label, np.zeros(SHAPE))
    with pytest.raises(UserError, match=r"label0001\.nii\.gz marks nothing"):
        prepare(original)
    label.write_bytes(b"no NIfTI")
    with pytest.raises(UserError, match=r"label0001\.nii\.gz cannot be read as NIfTI"):
        prepare(original)
    label.unlink()
    with pytest.raises(UserError, match="the labels of Pancreas-CT's 0001 was not found"):
        prepare(original)
