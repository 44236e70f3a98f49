"""`masked-folder`: pictures and masks of your own.

    root/images/<class>/<name>.png  with  root/masks/<class>/<name>.png
or  root/<class>/<name>.png         with  root/<class>/<name>_mask.png

(`--data-root` is the root.) Masks are white where attention belongs, black elsewhere, and as large
as their pictures; grey is in between, and 0 with 1 is read as black with white. A picture may be
without a mask file if `allow_missing` is set; its mask is then empty.
"""

from __future__ import annotations

from pathlib import Path

import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split, missing
from rl_attn.supervised.data.deal import dealt
from rl_attn.supervised.data.pictures import Picture, is_picture, read_pictures


def masked_folder(
    root: Path | None = None, *, size: int = 128, allow_missing: bool = False, seed: int = 0
) -> DataSet:
    """Load the folder; its splits (70, 15, 15 %, stratified) depend on `seed`."""
    if root is None:
        raise UserError("masked-folder needs the folder with your pictures: name it as data root")
    images = root / "images" if (root / "images").is_dir() else root
    classes = _classes(images)
    if not classes:
        raise missing(
            "masked-folder",
            (f"{root}/images/<class>/*.png", f"{root}/<class>/*.png"),
            "Put pictures into a folder a class, and masks beside them (x_mask.png) or into "
            f"{root}/masks/<class>",
        )
    pictures = [
        Picture(path, _mask(path, images, root, allow_missing), label)
        for label, name in enumerate(classes)
        for path in sorted((images / name).iterdir())
        if _is_image(path)
    ]
    pixels, masks = read_pictures(pictures, size)
    labels = torch.tensor([picture.label for picture in pictures])
    return DataSet(
        name="masked-folder",
        classes=tuple(classes),
        splits=dealt(Split(pixels, labels, masks), classes, seed),
        mask_meaning="what your masks mark in white",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def _is_image(path: Path) -> bool:
    return is_picture(path) and not path.stem.endswith("_mask")


def _classes(images: Path) -> list[str]:
    if not images.is_dir():
        return []
    folders = (path for path in sorted(images.iterdir()) if path.is_dir())
    return [f.name for f in folders if any(_is_image(path) for path in f.iterdir())]


def _mask(image: Path, images: Path, root: Path, allow_missing: bool) -> tuple[Path, ...]:
    """The mask file of a picture; one that should be there if there is none."""
    if images == root:
        place, stem = image.parent, f"{image.stem}_mask"
    else:
        place, stem = root / "masks" / image.parent.name, image.stem
    found = sorted(p for p in place.glob(f"{_literal(stem)}.*") if is_picture(p))
    if found:
        return (found[0],)
    return () if allow_missing else (place / f"{stem}.png",)


def _literal(name: str) -> str:
    """A file name as a pattern that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
