"""A table of samples, CSV: what folders do not say of images, or say otherwise.

    image,label,split,patient
    scans/a1.png,benign,train,P01
    scans/a2.png,malignant,test-hospital-b,P02

`image` is a path below the folder (or below its `images`), or a name that one image has. All other
columns may be left out: `label` (else the class is the image's folder, or what its annotations
say), `mask` (a path, else the mask is found by name), `split` (train, validation, test, or another
test by test-NAME), and one of patient, subject, part: images with the same value there are never in
two splits or folds. A further column of numbers may be what is learned, by `target=COLUMN`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, nan
from os.path import normpath
from pathlib import Path
from typing import NamedTuple

from rl_attn.errors import UserError, choose
from rl_attn.supervised.data.images import is_picture, named
from rl_attn.supervised.data.prepare.samples import read_rows

WHOSE = ("patient", "subject", "part")
COLUMNS = ("image", "label", "mask", "split", *WHOSE)
#: What people call the three splits.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Row(NamedTuple):
    """A sample; what the table does not say is empty."""

    image: Path
    label: str = ""
    mask: Path | None = None
    split: str = ""
    subject: str = ""
    value: float | None = None  # of the column that is learned


def split_name(word: str) -> str | None:
    """The split that a word means; None for one that means none.

    >>> split_name("val"), split_name("test-2"), split_name("cat")
    ('validation', 'test-2', None)
    """
    word = word.strip().lower()
    return SPLITS.get(word, word if word.startswith("test-") else None)


def read_table(file: Path, root: Path, target: str = "") -> list[Row]:
    """The samples. UserError: no table, an unknown column or split, an image that is not there, a
    cell of the column `target` that is no number."""
    rows = [
        # "P01" and "P01 ", as spreadsheets leave it, are one patient, who belongs to one split
        {column: (cell or "").strip() for column, cell in row.items()}
        for row in read_rows(file, ("image", *filter(None, [target])))
    ]
    if not rows:
        raise UserError(f"{file} has no rows")
    for column in filter(None, rows[0]):
        choose(f"column of {file.name}", column, [*COLUMNS, *filter(None, [target])])
    whose = [column for column in WHOSE if column in rows[0]]
    if len(whose) > 1:
        raise UserError(f"{file} has {' and '.join(whose)}: keep the one that belongs together")
    places = (root, root / "images")
    by_name: dict[str, list[Path]] = {}
    for path in sorted(p for p in root.rglob("*") if is_picture(p)):
        folders = path.relative_to(root).parts[:-1]
        if "masks" not in folders and not any(folder.startswith(".") for folder in folders):
            by_name.setdefault(path.name, []).append(path)
    found, absent = [], []
    for number, row in enumerate(rows, 2):
        image = _image(row["image"], places, by_name)
        if image is None:
            absent.append(row["image"])
            continue
        split = row.get("split", "")
        if split and split_name(split) is None:
            raise UserError(
                f"line {number} of {file} has split {split!r}: it must be train, validation, test "
                "or test-NAME"
            )
        mask = root / row["mask"] if row.get("mask") else None
        subject = row.get(whose[0], "") if whose else ""
        value = _number(row[target], f"line {number} of {file} has {target}") if target else None
        label = row.get("label", "")
        found.append(Row(image, label, mask, split_name(split) or "", subject, value))
    if absent:
        raise UserError(
            f"{len(absent)} images of {file} are not below {root}, or are there twice, such as "
            f"{named(absent[0])}"
        )
    _refuse_twice(file, found)
    return found


def _number(word: str, where: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise UserError(f"{where} {word!r}: it must be a number; leave out images without one")
    return value


def _image(word: str, places: Iterable[Path], by_name: dict[str, list[Path]]) -> Path | None:
    for place in places:
        inside = normpath(word)  # a/../b is b, so that no image is there twice
        if not inside.startswith(("..", "/")) and (place / inside).is_file():
            return place / inside
    same = by_name.get(word, [])
    return same[0] if len(same) == 1 else None


def _refuse_twice(file: Path, rows: list[Row]) -> None:
    seen: dict[Path, Row] = {}
    for row in rows:
        if row.image in seen:
            raise UserError(f"{file} has two rows of {row.image.name}: keep one")
        seen[row.image] = row
