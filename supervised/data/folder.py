"""`masked-folder`: images and masks of your own.

    root/images/<class>/<name>.png  with  root/masks/<class>/<name>.png
or  root/<class>/<name>.png         with  root/<class>/<name>_mask.png

(`--data-root` is the root.) A mask is as large as its image, as viewers show both; how it is meant
is declared by `mask_kind` and its kin, see `annotations`; what image files leave open by
`image_range` and `alpha`, see `images`. An image may be without a mask file if `allow_missing` is
set; it is then unknown everywhere. `size` 0 keeps the images' own size; else `fit` says how they
are brought to it, see `fit`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Unpack

import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader, MaskWords
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split, missing
from rl_attn.supervised.data.deal import dealt
from rl_attn.supervised.data.fit import Fit
from rl_attn.supervised.data.images import (
    Alpha,
    ImageOptions,
    Problem,
    is_picture,
    limits_of,
    named,
    report,
)
from rl_attn.supervised.data.pictures import Picture, read_pictures
from rl_attn.supervised.data.registry import LOADERS


@LOADERS.register("masked-folder")
def masked_folder(
    root: Path | None = None,
    *,
    size: int = 0,
    fit: Fit = "letterbox",
    allow_missing: bool = False,
    image_range: str = "",
    alpha: Alpha = "ask",
    seed: int = 0,
    **mask_options: Unpack[MaskWords],
) -> DataSet:
    """Load the folder; its splits (70, 15, 15 %, stratified) depend on `seed`."""
    if root is None:
        raise UserError("masked-folder needs the folder with your pictures: name it as data root")
    options = ImageOptions(limits_of("image_range", image_range), alpha)
    masks = MaskReader(MaskOptions.of(**mask_options))
    try:
        pictures, classes, notes = _scanned(root, allow_missing)
    except OSError as error:
        raise UserError(f"{named(root)} cannot be read ({error.strerror})") from None
    pixels = read_pictures(pictures, size, fit, masks, options)
    labels = torch.tensor([picture.label for picture in pictures])
    everything = Split(pixels.images, labels, pixels.masks, known=pixels.known)
    return DataSet(
        name="masked-folder",
        classes=tuple(classes),
        splits=dealt(everything, classes, seed),
        mask_meaning="what your masks mark",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        notes=(*notes, *pixels.notes),
    )


def _scanned(root: Path, allow_missing: bool) -> tuple[list[Picture], list[str], tuple[str, ...]]:
    """The samples, the classes' names, and what was left out.

    UserError: no classes, two files that would be one sample's image or mask.
    """
    images = root / "images" if (root / "images").is_dir() else root
    folders = sorted(p for p in images.iterdir() if p.is_dir()) if images.is_dir() else []
    hidden = [p.name for p in folders if p.name.startswith((".", "__"))]
    classes = [p.name for p in folders if p.name not in hidden and any(map(_is_image, p.iterdir()))]
    if not classes:
        raise missing(
            "masked-folder",
            (f"{root}/images/<class>/*.png", f"{root}/<class>/*.png"),
            "Put pictures into a folder a class, and masks beside them (x_mask.png) or into "
            f"{root}/masks/<class>",
        )
    pictures, problems, unread, spare = [], [], Counter(), 0
    for label, name in enumerate(classes):
        files = sorted((images / name).iterdir())
        place, ending = (root / "masks" / name, "") if images != root else (root / name, "_mask")
        masks, left = _masks(place, ending)
        unread.update(left)
        unread.update(p.suffix or p.name for p in files if not is_picture(p))
        taken: dict[str, Path] = {}
        for path in filter(_is_image, files):
            found = masks.pop(path.stem, [])
            if path.stem in taken:
                problems.append(Problem(f"and {taken[path.stem].name} are one name", path))
            if len(found) > 1:
                others = ", ".join(named(p.name) for p in found[1:])
                problems.append(Problem(f"and {others} are masks of one image", found[0]))
            if not found and not allow_missing:
                found = [place / f"{path.stem}{ending}.png"]
            taken[path.stem] = path
            pictures.append(Picture(path, tuple(found), label))
        spare += sum(map(len, masks.values()))
    report(problems)
    others = [p.name for p in folders if p.name not in (*classes, *hidden, "masks")]
    return pictures, classes, _notes(hidden, others, unread, spare)


def _notes(
    hidden: list[str], others: list[str], unread: Counter[str], spare: int
) -> tuple[str, ...]:
    """What was left out and why."""
    notes = []
    if hidden:
        notes.append(f"left out hidden folders {', '.join(map(named, hidden))}")
    if others:
        notes.append(f"left out folders without images {', '.join(map(named, others))}")
    if unread:
        kinds = ", ".join(f"{count} {named(ending)}" for ending, count in sorted(unread.items()))
        notes.append(f"left out files that are not read ({kinds})")
    if spare:
        notes.append(f"left out {spare} masks without an image")
    return tuple(notes)


def _is_image(path: Path) -> bool:
    return is_picture(path) and not path.stem.endswith("_mask")


def _masks(place: Path, ending: str) -> tuple[dict[str, list[Path]], list[str]]:
    """The mask files of a class by their image's name; endings in the masks' own folder that are
    not read."""
    files = sorted(place.iterdir()) if place.is_dir() else []
    found: dict[str, list[Path]] = {}
    for path in filter(is_picture, files):
        if path.stem.endswith(ending):
            found.setdefault(path.stem.removesuffix(ending), []).append(path)
    unread = [] if ending else [p.suffix or p.name for p in files if not is_picture(p)]
    return found, unread
