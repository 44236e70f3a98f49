"""The prepared layout: a masked folder, and a table of what is known of each picture.

    DIR/images/<class>/<name>.png     the picture (a copy, or 8-bit grey)
    DIR/masks/<class>/<name>.png      as large as the picture; see each set for its levels
    DIR/samples.csv                   class, image, subject, split, annotated

`subject` is whose picture it is: pictures of one patient are never divided. `split` is the
published one ("train", "validation", "test"), or empty. `annotated` is 0 where nobody drew a mask.
The table is written last: a folder without it is unfinished, and preparing it again completes it.
"""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rl_attn.errors import UserError, one_line
from rl_attn.run.files import replacing, write_text
from rl_attn.run.settings import short

TABLE = "samples.csv"
COLUMNS = ("class", "image", "subject", "split", "annotated")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Sample:
    """A row of the table."""

    category: str
    image: str  # file name; the mask has the same stem
    subject: str
    split: str = ""
    annotated: bool = True


@dataclass(frozen=True)
class Drawn:
    """A sample with its pixels."""

    sample: Sample
    picture: np.ndarray | Path  # uint8 (H, W), or a file that is copied
    mask: np.ndarray  # uint8 (H, W)


def refuse_finished(folder: Path) -> None:
    """UserError where there is a prepared set already."""
    if (folder / TABLE).is_file():
        raise UserError(
            f"{folder} already holds a prepared set: name another folder, or remove this one"
        )


def store(drawn: Iterable[Drawn], folder: Path) -> list[Sample]:
    """Write them all, the table last."""
    samples = []
    for one in drawn:
        sample = one.sample
        image = folder / "images" / sample.category / sample.image
        mask = folder / "masks" / sample.category / f"{Path(sample.image).stem}.png"
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(image) as scratch:
            if isinstance(one.picture, Path):
                shutil.copyfile(one.picture, scratch)
            else:
                Image.fromarray(one.picture).save(scratch, "PNG")
        with replacing(mask) as scratch:
            Image.fromarray(one.mask).save(scratch, "PNG", optimize=True)
        samples.append(sample)
    if samples:
        write_text(folder / TABLE, _table(samples))
    return samples


def read_table(file: Path) -> list[Sample]:
    """The samples of a prepared folder. UserError: a table that is none of ours."""
    rows = read_rows(file, COLUMNS)
    for number, row in enumerate(rows, 2):
        if set(row) != set(COLUMNS) or row["split"] not in ("", *SPLITS):
            raise UserError(
                f"line {number} of {file} is not {','.join(COLUMNS)} with a split of "
                f"{', '.join(SPLITS)} or none: prepare the set again"
            )
    return [
        Sample(r["class"], r["image"], r["subject"], r["split"], r["annotated"] == "1")
        for r in rows
    ]


def read_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file. UserError: it is none, or a row lacks one of the columns."""
    csv.field_size_limit(sys.maxsize)  # a matrix is one field of 150 kB
    try:
        text = file.read_bytes().decode("utf-8-sig")  # as spreadsheets write it
        if "\0" in text:
            raise ValueError("it holds zero bytes")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows, head = list(reader), list(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file} is not a table that can be read: {one_line(error)}") from None
    if lacking := [column for column in columns if column not in head]:
        raise UserError(
            f"{file} has no column {', '.join(lacking)}: its first line must name its columns, "
            f"with commas between them, and is {short(','.join(head))}"
        )
    if len(set(head)) < len(head):
        raise UserError(f"{file} has two columns of one name: {short(','.join(head))}")
    for number, row in enumerate(rows, 2):
        if None in row:
            raise UserError(f"line {number} of {file} has more cells than there are columns")
        absent = [column for column in columns if row.get(column) is None]
        if absent:
            raise UserError(f"line {number} of {file} has no {', '.join(absent)}: it is cut off")
    return rows


def _table(samples: Sequence[Sample]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for s in samples:
        writer.writerow((s.category, s.image, s.subject, s.split, int(s.annotated)))
    return text.getvalue()
