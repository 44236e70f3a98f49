"""LIDC-IDRI: what readers outlined, on series that are written here."""

import sys
from pathlib import Path

import numpy as np
import pytest
from originals import write_series
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import fold, load
from rl_attn.supervised.data.prepare.__main__ import main
from rl_attn.supervised.data.prepare.lidc import Lidc, beside, consensus, corner
from rl_attn.supervised.data.prepare.outlines import fill, nodules

SIDE, SLICES = 48, 3
XML = """<?xml version="1.0" encoding="UTF-8"?>
<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader>
<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>{sessions}</LidcReadMessage>"""


def square(x: int, y: int, side: int) -> list[tuple[int, int]]:
    """The pixels around a square whose upper left pixel is (x, y), in order."""
    low, high = -1, side
    ring = [(i, low) for i in range(low, high)] + [(high, i) for i in range(low, high)]
    ring += [(i, high) for i in range(high, low, -1)] + [(low, i) for i in range(high, low, -1)]
    return [(x + i, y + j) for i, j in ring]


def nodule(rois: list[tuple[str, list, str]], large: bool = True) -> str:
    points = [
        "".join(
            f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in curve
        ).join((f"<imageSOP_UID>{uid}</imageSOP_UID><inclusion>{include}</inclusion>", ""))
        for uid, curve, include in rois
    ]
    inside = "".join(f"<roi><imageZposition>0</imageZposition>{p}</roi>" for p in points)
    characteristics = "<characteristics><subtlety>3</subtlety></characteristics>" if large else ""
    return (
        f"<unblindedReadNodule><noduleID>1</noduleID>{characteristics}{inside}"
        "</unblindedReadNodule>"
    )


def session(*nodules: str) -> str:
    return f"<readingSession>{''.join(nodules)}</readingSession>"


@pytest.fixture
def original(tmp_path) -> Path:
    """Six patients. Two readers have the nodule at (20, 22): 6 pixels wide in the middle slice, 4
    above it; the second reader sees it 2 further to the right. One has another at (40, 2), and
    marked something small at (4, 40)."""
    root = tmp_path / "LIDC-IDRI"
    for p in range(6):
        volume = np.full((SLICES, SIDE, SIDE), -1000 + p)
        volume[1, 22:28, 20:26] = 400
        folder = root / f"LIDC-IDRI-000{p}" / "study" / "series"
        uids = write_series(folder, f"1.2.{p}", f"LIDC-IDRI-000{p}", volume)
        middle, above = uids[1], uids[2]
        first = nodule([(middle, square(20, 22, 6), "TRUE"), (above, square(20, 22, 4), "TRUE")])
        second = nodule([(middle, square(22, 22, 6), "TRUE")])
        other = nodule([(above, square(40, 2, 4), "TRUE")])
        small = nodule([(middle, [(4, 40)], "TRUE")], large=False)
        sessions = session(first, other, small) + session(second) + session()
        (folder / "069.xml").write_text(XML.format(series=f"1.2.{p}", sessions=sessions))
    xray = root / "LIDC-IDRI-0000" / "xray"
    write_series(xray, "1.3", "LIDC-IDRI-0000", np.zeros((1, 8, 8)), modality="CR")
    (xray / "1.xml").write_text("<IdriReadMessage xmlns='http://www.nih.gov'/>")
    return root


def prepare(original: Path, *options: str) -> Path:
    to = original.parent / "lidc"
    argv = ["lidc", "--from", str(original), "--to", str(to), "--lidc.patch", "16", *options]
    assert main(argv) == 0
    return to


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


def test_patches_are_cut_around_nodules(original, capsys):
    to = prepare(original)
    assert "wrote 12 nodule, 24 other" in capsys.readouterr().out
    # both readers: columns 20 to 27, as one of two is half; rows 22 to 27; the box's middle is
    # (24, 25), so the patch begins at column 16 and row 17
    mask = np.zeros((16, 16), np.uint8)
    mask[22 - 17 : 28 - 17, 20 - 16 : 28 - 16] = 255
    picture = np.zeros((16, 16), np.uint8)
    picture[22 - 17 : 28 - 17, 20 - 16 : 26 - 16] = 255
    name = "LIDC-IDRI-0000-0-0.png"
    assert np.array_equal(pixels(to / "masks" / "nodule" / name), mask)
    assert np.array_equal(pixels(to / "images" / "nodule" / name), picture)
    # the other lies at the slice's corner, which the patch does not leave: columns 32 to 47
    corner_mask = pixels(to / "masks" / "nodule" / "LIDC-IDRI-0000-0-1.png")
    assert np.argwhere(corner_mask).tolist() == [[y, x] for y in range(2, 6) for x in range(8, 12)]
    for file in (to / "masks" / "other").iterdir():
        assert not pixels(file).any()
        # nothing of the nodule, which is white
        assert pixels(to / "images" / "other" / file.name).max() < 5


def test_more_readers_are_asked_for(original, capsys):
    prepare(original, "--lidc.readers", "2", "--lidc.negatives", "0")
    assert "wrote 6 nodule to" in capsys.readouterr().out


def test_no_patient_is_divided(original):
    prepare(original)
    data = load("lidc", original.parent, size=16, train=4, validation=4, test=0)
    assert data.classes == ("nodule", "other") and data.mask_meaning.startswith("the nodule")
    sizes = [len(part) for part in data.splits.values()]
    assert sizes[:2] == [4, 4] and sizes[2] >= 12
    whose = [set(part.subjects.tolist()) for part in data.splits.values()]
    assert not (whose[0] & whose[1] or whose[0] & whose[2] or whose[1] & whose[2])
    assert len(set.union(*whose)) == 6
    for part in data.splits.values():
        has_mask = part.masks.flatten(1).amax(1) > 0
        assert (has_mask == (part.labels == 0)).all()
    for k in range(3):
        parts = fold(data, k, 3, seed=1).splits.values()
        seen = [set(part.subjects.tolist()) for part in parts]
        assert all(seen) and sum(map(len, seen)) == len(set.union(*seen))
    with pytest.raises(UserError, match=r"7 folds need .* at least 7 subjects"):
        fold(data, 0, 7, seed=1)
    other = load("lidc", original.parent, size=16, train=4, validation=4, test=0, seed=1)
    assert set(other.splits["train"].subjects.tolist()) != whose[0]


def test_the_outline_is_no_part_of_the_nodule():
    ring, hole = square(2, 2, 6), square(4, 4, 1)
    assert np.argwhere(fill([(True, ring)], (10, 10))).tolist() == [
        [y, x] for y in range(2, 8) for x in range(2, 8)
    ]
    left = fill([(False, hole), (True, ring)], (10, 10))
    assert left.sum() == 36 - 9 and not left[3:6, 3:6].any()
    assert not fill([(True, [(1, 1), (2, 1), (2, 2), (1, 2)])], (4, 4)).any()


def test_outlines_of_one_nodule_hang_together():
    def at(low: int, high: int, uid: str = "a") -> dict[str, np.ndarray]:
        mask = np.zeros((1, 12), bool)
        mask[0, low:high] = True
        return {uid: mask}

    assert nodules([at(0, 3), at(5, 8), at(2, 6), at(0, 3, "b"), at(9, 12)]) == [
        [0, 1, 2],
        [3],
        [4],
    ]
    agreed = consensus([[at(0, 4)], [at(2, 6)], [at(3, 7), at(9, 12)]])
    assert np.flatnonzero(agreed["a"][0]).tolist() == [2, 3, 4, 5]  # two of three


def test_a_patch_stays_in_its_slice():
    mask = np.zeros((20, 30), bool)
    mask[0, 29] = True
    assert corner(mask, 8) == (0, 22)
    assert corner(np.ones((20, 30), bool), 8) == (6, 11)


def test_patches_beside_hold_nothing_marked():
    occupied = np.zeros((20, 24), bool)
    occupied[9, 10] = occupied[0, 23] = True
    all_of_them = Lidc(patch=4, negatives=1000, reach=1)
    found = beside(occupied, (8, 19), all_of_them, np.random.default_rng(0))
    want = [
        (y, x)
        for y in range(4, 13)
        for x in range(15, 21)
        if not occupied[y : y + 4, x : x + 4].any()
    ]
    assert sorted(found) == want and len(want) == 54
    near = beside(occupied, (8, 8), all_of_them, np.random.default_rng(0))
    assert len(near) == 9 * 9 - 4 * 4  # 16 patches hold (9, 10)


def test_the_extra_is_asked_for(original, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"need pydicom: pip install 'rl-attn\[medical\]'"):
        prepare(original)


def test_mistakes(original, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    where = ["--to", str(tmp_path / "lidc")]
    with pytest.raises(UserError, match=r"lidc was not found; .*\.dcm.*collection/lidc-idri"):
        main(["lidc", "--from", str(empty), *where])
    with pytest.raises(UserError, match=r"--from .*nowhere does not exist"):
        main(["lidc", "--from", str(tmp_path / "nowhere"), *where])
    with pytest.raises(UserError, match=r"--lidc\.readers is 5: choose from 1 to 4"):
        main(["lidc", "--from", str(original), *where, "--lidc.readers", "5"])
    with pytest.raises(UserError, match=r"unknown data set 'lids' \(did you mean lidc\?\)"):
        main(["lids", "--from", str(original), *where])
    (original / "LIDC-IDRI-0003" / "study" / "series" / "1-002.dcm").unlink()
    with pytest.raises(UserError, match="lacks 1 slices in which nodules of LIDC-IDRI-0003"):
        prepare(original)
    (original / "LIDC-IDRI-0003" / "study" / "series" / "1-001.dcm").write_text("no DICOM")
    with pytest.raises(UserError, match=r"1-001\.dcm cannot be read as DICOM"):
        prepare(original)
    for file in original.rglob("*.xml"):
        file.unlink()
    (original / "LIDC-IDRI-0003" / "study" / "series" / "1-001.dcm").unlink()
    with pytest.raises(UserError, match=r"The readings of lidc was not found"):
        prepare(original)
