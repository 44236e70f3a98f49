"""`masked-folder`: images and annotations of your own, as `scan` finds them (`--data-root`).

A mask is as large as its image, as viewers show both; how mask files are meant is declared by
`mask_kind` and its kin, see `annotations`. Annotation files are read by `format=coco` (or another
of `readers`; `annotations=` says where they are, if not in the folder): the regions named by
`mask_label=lesion,nodule` matter, or all; those of `mask_unknown=` are unknown. What image files
leave open is declared by `image_range` and `alpha`, see `images`. An image may be without
annotation if `allow_missing` is set; it is then unknown everywhere. With `several` an image may
have several labels, or none: `a;b` in a table, or what its annotations say; its mask is of the
rarest of them. `table` names a CSV of classes, splits and patients, see `table`; with `target` what
is learned is the number in that column of it, in place of a class. `size` 0 keeps the images' own
size; else `fit` says how they are brought to it.

Splits are the folder's or the table's own, else dealt by `seed`: 70, 15, 15 %, stratified, patients
kept together. Other tests, test-NAME, are apart: folds leave them as tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader, MaskWords
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split
from rl_attn.supervised.data.deal import SHARES, dealt, part_off, strata_of
from rl_attn.supervised.data.fit import Fit
from rl_attn.supervised.data.images import Alpha, ImageOptions, Problem, limits_of, named, report
from rl_attn.supervised.data.pictures import Picture, read_pictures
from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.registry import LOADERS
from rl_attn.supervised.data.scan import Found, Sample, Sources, scanned
from rl_attn.supervised.data.table import COLUMNS


@LOADERS.register("masked-folder")
def masked_folder(
    root: Path | None = None,
    *,
    size: int = 0,
    fit: Fit = "letterbox",
    format: str = "",
    annotations: str = "",
    table: str = "",
    target: str = "",
    allow_missing: bool = False,
    several: bool = False,
    image_range: str = "",
    alpha: Alpha = "ask",
    seed: int = 0,
    **mask_options: Unpack[MaskWords],
) -> DataSet:
    """Load the folder; splits that it does not have itself depend on `seed`."""
    sources = format, annotations, table, target, allow_missing, several
    found, masks = find(root, *sources, **mask_options)
    report(found.problems)
    dataset = assembled(outline(found), found, seed, found.notes)
    # Read in the order of the splits, which are then parts of one tensor, and not copies of it.
    order = [int(i) for split in dataset.splits.values() for i in split.names]
    classes, samples = found.classes, [found.samples[i] for i in order]
    pictures = [Picture(s.image, s.masks, classes.index(s.label)) for s in samples]
    pixels = read_pictures(pictures, size, fit, masks, image_options(image_range, alpha))
    names, splits, first = names_of(samples, root), {}, 0
    for name, split in dataset.splits.items():
        rows = slice(first, first + len(split))
        known = None if pixels.known is None else pixels.known[rows]
        shown = {"images": pixels.images[rows], "masks": pixels.masks[rows], "known": known}
        splits[name] = replace(split, **shown, names=names[rows])
        first = rows.stop
    return replace(dataset, splits=splits, notes=(*dataset.notes, *pixels.notes))


def outline(found: Found) -> Split:
    """The samples without their pixels; each is named by its number."""
    classes, samples = found.classes, found.samples
    return Split(
        torch.zeros(len(samples), 1, 1, 1, dtype=torch.uint8),
        torch.tensor([classes.index(sample.label) for sample in samples]),
        subjects=subjects_of(samples),
        several=several_of(found),
        values=values_of(samples),
        names=np.arange(len(samples)).astype(str),
    )


def image_options(image_range: str = "", alpha: Alpha = "ask", **_: Any) -> ImageOptions:
    return ImageOptions(limits_of("image_range", image_range), alpha)


def find(
    root: Path | None,
    format: str = "",
    annotations: str = "",
    table: str = "",
    target: str = "",
    allow_missing: bool = False,
    several: bool = False,
    **options: Any,
) -> tuple[Found, MaskReader]:
    """The samples, and how their mask files are read. UserError: options that do not fit."""
    if root is None:
        raise UserError("masked-folder needs the folder with your pictures: name it as data root")
    if annotations and not format:
        raise UserError(f"annotations={annotations} needs to be read as something: say format=NAME")
    if target and (several or not table or target in COLUMNS):
        raise UserError(
            f"target={target} is a column of numbers in a table=FILE.csv, beside "
            f"{', '.join(COLUMNS)}, and goes without several"
        )
    if format:
        READERS.check(format)
    words = {name: word for name, word in options.items() if name in MaskWords.__annotations__}
    masks = MaskOptions.of_regions(**words) if format else MaskOptions.of(**words)
    try:
        sources = Sources(format, annotations, table, target, allow_missing, several, masks)
        found = scanned(root, sources)
    except OSError as error:
        raise UserError(f"{named(root)} cannot be read ({error.strerror})") from None
    except Problem as problem:
        raise UserError(str(problem)) from None
    return found, MaskReader(masks)


def subjects_of(samples: Sequence[Sample]) -> torch.Tensor | None:
    """int64 (N,): whose picture each is; a sample of nobody's is a subject of its own."""
    if not any(sample.subject for sample in samples):
        return None
    whose = [sample.subject or f"\0{i}" for i, sample in enumerate(samples)]
    return torch.from_numpy(np.unique(whose, return_inverse=True)[1]).long()


def several_of(found: Found) -> torch.Tensor | None:
    """bool (N, classes): which labels each image has; None where each has one class."""
    if not found.several:
        return None
    return torch.tensor([[name in s.labels for name in found.classes] for s in found.samples])


def values_of(samples: Sequence[Sample]) -> torch.Tensor | None:
    """float64 (N,): the numbers that are learned; None where these are classes."""
    values = [sample.value for sample in samples if sample.value is not None]
    return torch.tensor(values, dtype=torch.float64) if values else None


def names_of(samples: Sequence[Sample], root: Path) -> np.ndarray:
    """str (N,): the images' paths below the folder."""
    return np.array([sample.image.relative_to(root).as_posix() for sample in samples])


def assembled(everything: Split, found: Found, seed: int, notes: Sequence[str]) -> DataSet:
    """The set of all samples, in their splits. UserError: some split cannot be made."""
    own = np.array([sample.split for sample in found.samples])
    if any(own):
        rows = {str(name): torch.from_numpy(own == name) for name in np.unique(own)}
        splits = _completed({name: everything[chosen] for name, chosen in rows.items()}, seed)
    else:
        splits = dealt(everything, found.classes, seed)
    return DataSet(
        name="masked-folder",
        classes=tuple(found.classes),
        splits=splits,
        mask_meaning="what your masks mark",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        notes=tuple(notes),
    )


def _completed(splits: dict[str, Split], seed: int) -> dict[str, Split]:
    """Own splits in the usual order; validation is taken from train where there is none."""
    for name in ("train", "test"):
        if name not in splits:
            raise UserError(
                f"the splits are {', '.join(splits)}: {name} is missing (call validation test, and "
                "validation is taken from train); without any split the pictures are dealt"
            )
    if "validation" not in splits:
        if (strata_of(splits["train"]).bincount() == 1).any():
            raise UserError(
                "validation is taken from train, which has a class with a single picture: name "
                "the pictures to validate on"
            )
        splits["train"], splits["validation"] = part_off(
            splits["train"], SHARES["validation"], seed
        )
    usual = ("train", "validation", "test")
    return {name: splits[name] for name in (*usual, *sorted(set(splits) - {*usual}))}
