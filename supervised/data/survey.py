"""What a data set holds, before anything is trained on it: the facts, and what to do about them.

Facts are of each picture, from a folder's files or from a loaded set. Lines of advice name the
option that helps; those that begin with "fix" are of what training would refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data.annotations import Annotation, MaskReader
from rl_attn.supervised.data.dataset import DataSet, check, concatenated
from rl_attn.supervised.data.duplicates import THUMBNAIL, clusters
from rl_attn.supervised.data.fit import fitted, fitted_annotation
from rl_attn.supervised.data.folder import assembled, outline
from rl_attn.supervised.data.found import range_of
from rl_attn.supervised.data.images import ImageOptions, Problem, described, open_picture
from rl_attn.supervised.data.pictures import Picture, read_picture
from rl_attn.supervised.data.scan import Found
from rl_attn.supervised.data.sheet import Cell

#: Correlation of thumbnails from which pictures are called alike.
ALIKE = 0.98
#: Classes this many times as large as others are called so; sets below this number, small.
UNEVEN, SMALL = 4, 500
#: Pictures, of which not each is compared with each: then only equal thumbnails count as alike.
MANY = 10_000
_SIDE = 96  # pixels of a picture on a contact sheet
_LEVELS = 12  # of a mask file, above which they are strengths and not labels


@dataclass
class Facts:
    """Of N pictures."""

    classes: tuple[str, ...]
    labels: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)  # of their masks, see `kind_of`
    cover: list[float] = field(default_factory=list)  # share that matters
    thumbnails: list[np.ndarray] = field(default_factory=list)  # uint8 (32, 32), of a folder
    sizes: list[tuple[int, int]] = field(default_factory=list)  # (width, height)
    modes: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)  # of mask files, regions by label
    cells: dict[int, list[Cell]] = field(default_factory=dict)  # of the sheet, by label
    splits: Mapping[str, list[int]] = field(default_factory=dict)  # labels of each
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(
        self,
        label: int,
        name: str,
        image: Image.Image,
        annotation: Annotation,
        count: int,
        kind: str | None = None,
    ) -> None:
        """One picture; the first `count` of a class are kept for the sheet."""
        self.labels.append(label)
        self.names.append(name)
        self.sizes.append(image.size)
        self.kinds.append(kind or kind_of(annotation))
        self.cover.append(float(annotation.values.mean()) / 255)
        cells = self.cells.setdefault(label, [])
        if len(cells) < count:
            small = np.asarray(fitted(image, _SIDE, "letterbox"))
            cells.append(Cell(name, small, *fitted_annotation(annotation, _SIDE, "letterbox")))


def kind_of(annotation: Annotation) -> str:
    """none (unknown everywhere), empty, full, soft (levels in between), or partial."""
    values, known = annotation
    if known is not None and not known.any():
        return "none"
    if not values.any():
        return "empty"
    if values.min() > 127:
        return "full"
    return "soft" if ((values > 0) & (values < 255)).any() else "partial"


def of_folder(
    root: Path, found: Found, masks: MaskReader, images: ImageOptions, seed: int, count: int
) -> Facts:
    """Every file of a folder, at its own size. Memory grows by a kilobyte a picture."""
    classes, problems = found.classes, list(found.problems)
    facts = Facts(tuple(name or "(none)" for name in classes), notes=list(found.notes))
    facts.levels.update(dict(found.regions))
    if found.several:
        labels = Counter(label for sample in found.samples for label in sample.labels)
        numbers = [len(sample.labels) for sample in found.samples]
        facts.notes.append(
            f"labels: {_counted(labels)}; the table has the rarest of each image; "
            f"{sum(n > 1 for n in numbers):,} images have several, {numbers.count(0):,} none"
        )
    for sample in found.samples:
        picture = Picture(sample.image, sample.masks, classes.index(sample.label))
        kind = None
        try:
            image, annotation = read_picture(picture, masks, images)
        except Problem as problem:
            problems.append(problem)
            try:  # the image by itself
                image, annotation = read_picture(replace(picture, masks=()), masks, images)
                kind = "unread"
            except Problem:
                continue
        name = sample.image.relative_to(root).as_posix()
        facts.add(picture.label, name, image, annotation, count, kind)
        grey = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
        facts.thumbnails.append(np.asarray(grey))
        facts.modes[mode_of(sample.image)] += 1
    for path in {mask for s in found.samples for mask in s.masks if isinstance(mask, Path)}:
        facts.levels.update(levels_of(path))
    told = described([*problems, *masks.problems()])
    facts.faults += [line.replace(f"{root}/", "") for line in told]
    if not problems:
        whole = outline(found)
        if whole.values is not None:
            facts.notes.append(range_of(found.classes[0], whole.values))
        try:
            dataset = assembled(whole, found, seed, ())
            facts.splits = {name: part.labels.tolist() for name, part in dataset.splits.items()}
            check(dataset)
        except UserError as error:
            facts.faults.append(str(error))
    return facts


def mode_of(image: Path) -> str:
    """As the file has it: RGB, L (grey), P (a palette), DICOM, ..."""
    if image.suffix.lower() == ".dcm":
        return "DICOM"
    with Image.open(image) as opened:
        return opened.mode


def levels_of(mask: Path) -> list[str]:
    """What levels a mask file holds, as words: its few levels, or that they are many."""
    try:
        image = open_picture(mask)
    except Problem:
        return []
    if image.mode not in ("1", "L", "P", "I", "I;16", "F"):
        return [f"colours ({image.mode})"]
    found = np.unique(np.asarray(image)).tolist()
    return [f"{level:g}" for level in found] if len(found) <= _LEVELS else ["many levels"]


def of_dataset(dataset: DataSet, split: str, count: int) -> Facts:
    """A loaded set; the sheet shows one split of it."""
    facts = Facts(dataset.classes, notes=list(dataset.notes))
    names = [name for name in dataset.splits if name not in dataset.views]
    whole = concatenated(dataset.splits[name] for name in names)
    numbered = [f"{name} {i}" for name in names for i in range(len(dataset.splits[name]))]
    for i, (name, label) in enumerate(zip(numbered, whole.labels.tolist(), strict=True)):
        shown = count if name.startswith(f"{split} ") else 0
        annotation = Annotation(np.zeros(dataset.size, np.uint8), np.zeros(dataset.size, bool))
        if whole.masks is not None:
            known = None if whole.known is None else whole.known[i].numpy()
            annotation = Annotation(whole.masks[i].numpy(), known)
        picture = whole.images[i].expand(3, -1, -1).permute(1, 2, 0).numpy()
        file = name if whole.names is None else str(whole.names[i])
        facts.add(label, file, Image.fromarray(picture), annotation, shown)
    facts.splits = {name: part.labels.tolist() for name, part in dataset.splits.items()}
    return facts


def described_facts(facts: Facts) -> list[str]:
    """What there is, a line each."""
    lines = [f"sizes: {_counted(Counter(f'{w}x{h}' for w, h in facts.sizes))}"]
    if facts.modes:
        lines.append(f"modes: {_counted(facts.modes)}")
    if facts.levels:
        lines.append(f"labels and levels of masks, by how many have them: {_counted(facts.levels)}")
    return lines + facts.notes


def _counted(counts: Counter[str], most: int = 6) -> str:
    shown = [f"{name} ({count:,})" for name, count in counts.most_common(most)]
    return ", ".join(shown) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def advice(facts: Facts) -> Iterator[str]:
    """What to do, a line for each thing."""
    yield from (f"fix: {line}" for line in facts.faults)
    if facts.labels:
        for look in (_of_sizes, _of_masks, _of_numbers, _of_likeness):
            yield from (f"note: {line}" for line in look(facts))


def _of_sizes(facts: Facts) -> Iterator[str]:
    sizes = set(facts.sizes)
    if len(sizes) > 1 or max(max(size) for size in sizes) > 512:
        yield "images are large, or of several sizes: choose the side to train at, --size 224"
    if any(width != height for width, height in sizes):
        yield "images are not square: black is put beside them; --fit crop or stretch do otherwise"
    own = {}
    for label, size in zip(facts.labels, facts.sizes, strict=True):
        own.setdefault(label, set()).add(size)
    if len(own) > 1 and len(set.union(*own.values())) == sum(map(len, own.values())):
        yield (
            "no two classes share an image size: the size may give the class away; --fit stretch "
            "hides the shape, but not how sharp images are"
        )


def _of_masks(facts: Facts) -> Iterator[str]:
    total, kinds = len(facts.kinds), Counter(facts.kinds)
    if kinds["none"] == total:
        yield "no image is annotated: --method vanilla needs no masks, rl-attn masks makes some"
    elif kinds["none"]:
        yield f"{kinds['none']:,} images are not annotated: they train the class alone"
    if kinds["full"]:
        yield f"full masks do not say where to look: {_names(facts, 'full')}"
    for label, name in enumerate(facts.classes):
        own = {k for k, of in zip(facts.kinds, facts.labels, strict=True) if of == label}
        if own == {"empty"}:
            yield (
                f"every mask of class {name} is empty: its attention is not trained; "
                "--empty-mask suppress of camal asks for none"
            )
    small = np.median([share for share in facts.cover if share] or [1])
    if small < 0.002:
        yield f"half of the masks cover less than {small:.2%} of their image: take a large --size"


def _names(facts: Facts, kind: str) -> str:
    """A few of the pictures whose mask is of a kind."""
    names = [name for name, own in zip(facts.names, facts.kinds, strict=True) if own == kind]
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _of_numbers(facts: Facts) -> Iterator[str]:
    counts = np.bincount(facts.labels, minlength=len(facts.classes))
    rare, common = int(counts.argmin()), int(counts.argmax())
    if counts[common] > UNEVEN * counts[rare]:
        yield (
            f"{facts.classes[common]} has {counts[common]:,} images, {facts.classes[rare]} "
            f"{counts[rare]:,}: --class-weights balanced or --sampling balanced, and "
            "--select balanced_accuracy"
        )
    if len(facts.labels) < SMALL:
        yield (
            f"{len(facts.labels):,} images are few: their test is small; cross-validate by "
            "--folds 5"
        )


def _of_likeness(facts: Facts) -> Iterator[str]:
    """Pictures that are the same, or look so; those of two classes first."""
    if not facts.thumbnails:
        return
    keys = [thumbnail.tobytes() for thumbnail in facts.thumbnails]
    if len(keys) <= MANY:
        thumbnails = torch.from_numpy(np.stack(facts.thumbnails))[:, None]
        keys = clusters(thumbnails, ALIKE).tolist()
    groups: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    alike = [members for members in groups.values() if len(members) > 1]
    mixed = [members for members in alike if len({facts.labels[i] for i in members}) > 1]
    for found, said in (
        (mixed, "look alike and have two classes, one of which is wrong: look at them"),
        ([m for m in alike if m not in mixed], "look alike: keep one, or give them one patient"),
    ):
        if found:
            pair = " and ".join(facts.names[i] for i in found[0][:2])
            more = f" ({sum(map(len, found)):,} pictures in {len(found):,} groups)"
            yield f"{pair}{more} {said}"
