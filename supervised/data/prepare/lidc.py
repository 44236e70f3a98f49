"""LIDC-IDRI: patches of lung CT with a nodule, and patches beside one.

S. Armato et al., The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative
(IDRI), Medical Physics 38 (2011) 915. Series (DICOM) and readings (XML, see `outlines`) may lie
anywhere below the source: TCIA's download has the latter beside the former or in an archive of its
own (LIDC-XML-only); what belongs together is known by the series' UID.

A nodule is what at least `readers` of the four outlined. Its picture is cut from the slice where
its mask is largest, around the middle of the mask; its mask are the pixels that at least half of
its readers outlined. Beside it, in the same slice and at most `reach` patches away, `negatives`
patches are drawn in which nobody marked anything.

VAPL (Zhang et al. 2024, Sec. 5.1) has 2,625 nodules and 65,505 patches "slicing surrounding areas",
25 a nodule, and tells neither how many readers nor how large a patch: 2,625 is about what a single
reader gives. Patches here are 64 pixels (36 to 60 mm) of a lung window, -1000 to 400 HU.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import missing
from rl_attn.supervised.data.prepare.dicom import Series, by_uid, find_series, hounsfield, windowed
from rl_attn.supervised.data.prepare.options import Lidc
from rl_attn.supervised.data.prepare.outlines import Reading, nodules, read_xml
from rl_attn.supervised.data.prepare.samples import Drawn, Sample

LOW, HIGH = -1000.0, 400.0  # HU of black and white
WHERE = "Get the CT images and the XML annotations of LIDC-IDRI from " + (
    "https://www.cancerimagingarchive.net/collection/lidc-idri"
)


def lidc(source: Path, options: Lidc) -> Iterator[Drawn]:
    """All patches, patient by patient. UserError: no series, no readings, damaged files."""
    series = find_series(source)
    if not series:
        raise missing("lidc", [f"{source}/**/*.dcm"], WHERE)
    found = map(read_xml, sorted(source.rglob("*.xml")))
    readings = {r.series: r for r in found if r is not None and r.series in series}
    if not readings:
        raise missing("The readings of lidc", [f"{source}/**/*.xml of these series"], WHERE)
    for number, reading in enumerate(readings.values()):
        yield from _patches(series[reading.series], reading, number, options)


def _patches(series: Series, reading: Reading, number: int, options: Lidc) -> Iterator[Drawn]:
    """Those of one scan."""
    if not reading.outlines:
        return
    files = by_uid(series)
    absent = {uid for outline in reading.outlines for uid in outline.curves} - files.keys()
    if absent:
        raise UserError(
            f"{series.files[0].parent} lacks {len(absent)} slices in which nodules of "
            f"{series.patient} are outlined: download the series again"
        )
    rng = np.random.default_rng([options.seed, number])
    shape = hounsfield(series.files[0]).shape
    if min(shape) < options.patch:
        raise UserError(
            f"--lidc.patch is {options.patch}: the slices of {series.patient} are {shape}"
        )
    drawn = [outline.masks(shape) for outline in reading.outlines]
    for k, members in enumerate(nodules(drawn)):
        readers: dict[int, list[dict[str, np.ndarray]]] = {}
        for i in members:
            readers.setdefault(reading.outlines[i].reader, []).append(drawn[i])
        agreed = consensus(list(readers.values()))
        if len(readers) < options.readers or not agreed:
            continue
        uid = max(agreed, key=lambda uid: (agreed[uid].sum(), uid))
        picture, mask = windowed(hounsfield(files[uid]), LOW, HIGH), agreed[uid]
        name, origin = f"{series.patient}-{number}-{k}", corner(mask, options.patch)
        window = _window(origin, options.patch)
        sample = Sample("nodule", f"{name}.png", series.patient)
        yield Drawn(sample, picture[window], mask[window].astype(np.uint8) * 255)
        occupied = _occupied(reading, drawn, uid, shape)
        for j, place in enumerate(beside(occupied, origin, options, rng)):
            sample = Sample("other", f"{name}-{j}.png", series.patient)
            empty = np.zeros((options.patch, options.patch), np.uint8)
            yield Drawn(sample, picture[_window(place, options.patch)], empty)


def _window(origin: tuple[int, int], patch: int) -> tuple[slice, slice]:
    y, x = origin
    return np.s_[y : y + patch, x : x + patch]


def consensus(readers: list[list[dict[str, np.ndarray]]]) -> dict[str, np.ndarray]:
    """What at least half of the readers have, in each slice; each may have several outlines."""
    uids = {uid for outlines in readers for outline in outlines for uid in outline}
    agreed = {}
    for uid in uids:
        votes = sum(
            np.any([outline[uid] for outline in outlines if uid in outline], axis=0).astype(int)
            for outlines in readers
        )
        mask = 2 * votes >= len(readers)
        if mask.any():
            agreed[uid] = mask
    return agreed


def corner(mask: np.ndarray, patch: int) -> tuple[int, int]:
    """Upper left (y, x) of a patch around the middle of the mask's box, inside of the slice."""
    ends = [np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0)]
    return tuple(
        int(np.clip((low + high + 1) // 2 - patch // 2, 0, side - patch))
        for (low, high), side in zip(ends, mask.shape, strict=True)
    )


def _occupied(
    reading: Reading, drawn: list[dict[str, np.ndarray]], uid: str, shape: tuple[int, int]
) -> np.ndarray:
    """What any reader marked in a slice, outlines included: bool (H, W)."""
    marked = np.zeros(shape, bool)
    for masks in drawn:
        if uid in masks:
            marked |= masks[uid]
    for x, y in reading.marks.get(uid, ()):
        if 0 <= y < shape[0] and 0 <= x < shape[1]:
            marked[y, x] = True
    return marked


def beside(
    occupied: np.ndarray, origin: tuple[int, int], options: Lidc, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Corners of patches that hold nothing occupied, none of them drawn twice."""
    patch, (y, x) = options.patch, origin
    far = options.reach * patch
    total = np.pad(occupied.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows = total[patch:] - total[:-patch]
    inside = rows[:, patch:] - rows[:, :-patch]
    free = inside == 0  # (H - patch + 1, W - patch + 1), by corner
    free[: max(0, y - far)] = free[y + far + 1 :] = False
    free[:, : max(0, x - far)] = free[:, x + far + 1 :] = False
    corners = np.argwhere(free)
    count = min(options.negatives, len(corners))
    return [tuple(map(int, corners[i])) for i in rng.choice(len(corners), count, replace=False)]
