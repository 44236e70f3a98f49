"""Which samples a folder of one's own holds: images, their masks, class, split and patient.

    root/images/<class>/<name>.png  with  root/masks/<class>/<name>.png
or  root/<class>/<name>.png         with  root/<class>/<name>_mask.png

Splits of one's own are folders above the classes (`root/train/...`, `root/images/val/...`), or a
column of a `table`. Images need no folders of classes where a table or annotation files say what
they show; masks may then lie in `root/masks`, matched by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rl_attn.errors import UserError
from rl_attn.supervised.data.annotations import MaskOptions
from rl_attn.supervised.data.dataset import missing
from rl_attn.supervised.data.images import Problem, is_picture, named
from rl_attn.supervised.data.marks import Annotated, Marked, formats_in
from rl_attn.supervised.data.table import read_table, split_name

#: Endings of annotation files, which may lie among images.
_ANNOTATIONS = (".json", ".txt", ".xml", ".yaml", ".nii", ".gz")
#: Folders beside the classes that are none.
_BESIDE = ("masks", "labels", "annotations")


@dataclass(frozen=True)
class Sample:
    """An image and what is known of it; what nobody says is empty."""

    image: Path
    label: str = ""
    split: str = ""
    subject: str = ""
    masks: tuple[Path | Marked, ...] = ()
    labels: tuple[str, ...] = ()  # all of them, where there may be several; `label` is the rarest
    value: float | None = None  # what is learned, where that is a number; `label` is its name


@dataclass(frozen=True)
class Sources:
    """What a set has beside its images."""

    form: str = ""  # of its annotation files; "": mask files
    annotations: str = ""  # where they are
    table: str = ""
    target: str = ""  # the column of the table that is learned, of numbers
    allow_missing: bool = False  # images may be without annotation
    several: bool = False  # images may have several labels, or none
    regions: MaskOptions = field(default_factory=MaskOptions)


@dataclass
class Found:
    """The samples in order, and what is wrong with or left out of the folder."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    regions: Counter[str] = field(default_factory=Counter)  # of annotation files, by label
    several: bool = False  # whether images may have several labels, or none

    @property
    def classes(self) -> list[str]:
        return sorted({name for s in self.samples for name in s.labels or [s.label]})


@dataclass(frozen=True)
class _Place:
    """Where images of one split, and their masks, lie."""

    images: Path
    masks: Path | None  # None: beside them, x_mask.png
    split: str = ""


def scanned(root: Path, sources: Sources) -> Found:
    """Look through a folder. UserError: there is nothing in it that is meant as a sample."""
    found, masks = Found(several=sources.several), _Masks()
    if sources.table:
        _scan_table(root, sources, masks, found)
    else:
        _scan_folders(root, sources, masks, found)
    if sources.form:
        _annotate(root, sources, found)
    if sources.several:
        found.samples = _attended(found.samples)
    _complete(root, sources, found)
    if masks.spare and not sources.table:
        found.notes.append(f"left out {masks.spare} masks without an image")
    return found


def _below(root: Path, word: str, option: str) -> Path:
    """What an option names: below the folder, or from here."""
    for path in (root / word, Path(word)):
        if path.exists():
            return path
    raise UserError(f"{option}={word}: there is neither {root / word} nor {word}")


def _folders(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "__"))


def _places(root: Path) -> list[_Place]:
    """Where images lie: a place for each split that is a folder, else one."""
    images = root / "images" if (root / "images").is_dir() else root
    masks = root / "masks" if images != root or (root / "masks").is_dir() else None
    seen = [p for p in _folders(images) if not _hidden(p) and p.name not in _BESIDE]
    splits = [split_name(path.name) for path in seen]
    if len(splits) > 1 and "train" in splits and all(splits):
        return [_split_place(folder, masks) for folder in seen]
    return [_Place(images, masks)]


def _split_place(folder: Path, masks: Path | None) -> _Place:
    split = split_name(folder.name)
    if (folder / "images").is_dir():
        return _Place(folder / "images", folder / "masks", split)
    return _Place(folder, masks and masks / folder.name, split)


def _scan_table(root: Path, sources: Sources, masks: _Masks, found: Found) -> None:
    """The rows of a table; a class or split that it leaves open is the image's folder's."""
    places = _places(root)
    for row in read_table(_below(root, sources.table, "table"), root, sources.target):
        place = next((p for p in places if p.images in row.image.parents), _Place(root, None))
        folder = row.image.parent.relative_to(place.images).parts[:1]
        taken = (row.mask,) if row.mask else _masks_of(row.image, place, masks, sources, found)
        label = sources.target or row.label or "".join(folder)
        split = row.split or place.split
        words = [label] if sources.target else map(str.strip, label.split(";"))
        labels = tuple(sorted({*filter(None, words)}))
        if len(labels) > 1 and not sources.several:
            found.problems.append(Problem(f"has labels {label}: say several=true", row.image))
        sample = Sample(row.image, label, split, row.subject, taken, labels, row.value)
        found.samples.append(sample)


def _scan_folders(root: Path, sources: Sources, masks: _Masks, found: Found) -> None:
    """Classes are folders; images that lie in none get theirs from annotations."""
    hidden, others, unread = [], [], Counter()
    for place in _places(root):
        folders = _folders(place.images)
        hidden += [p.name for p in folders if _hidden(p)]
        classes = [
            p
            for p in folders
            if not _hidden(p) and p.name not in _BESIDE and any(map(_is_image, p.iterdir()))
        ]
        used = {*(p.name for p in classes), *hidden, *_BESIDE}
        others += [p.name for p in folders if p.name not in used]
        for folder in classes or ([place.images] if sources.form else []):
            label = folder.name if classes else ""
            files = sorted(folder.iterdir())
            unread.update(p.suffix or p.name for p in files if not _read(p, sources))
            for path in filter(_is_image, files):
                taken = _masks_of(path, place, masks, sources, found)
                found.samples.append(Sample(path, label, place.split, "", taken))
    found.problems += _same_names(found.samples)
    if not found.samples:
        raise _nothing(root)
    found.notes += _notes(hidden, others, unread + masks.unread)


def _read(path: Path, sources: Sources) -> bool:
    """Whether a file beside images is an image, or perhaps their annotations."""
    return is_picture(path) or (bool(sources.form) and path.suffix in _ANNOTATIONS)


def _same_names(samples: list[Sample]) -> Iterator[Problem]:
    first: dict[Path, Path] = {}
    for sample in samples:
        taken = first.setdefault(sample.image.with_suffix(""), sample.image)
        if taken != sample.image:
            yield Problem(f"and {taken.name} are one name", sample.image)


def _masks_of(
    image: Path, place: _Place, masks: _Masks, sources: Sources, found: Found
) -> tuple[Path, ...]:
    """The mask file of an image, or the one that should be there."""
    if sources.form:
        return ()
    ending, folder = "_mask", image.parent
    if place.masks is not None:
        ending, folder = "", place.masks / image.parent.relative_to(place.images)
        if not folder.is_dir() and any(map(is_picture, _files(place.masks))):
            folder = place.masks
    files = masks.take(folder, ending, image.stem)
    if len(files) > 1:
        others = ", ".join(named(p.name) for p in files[1:])
        found.problems.append(Problem(f"and {others} are masks of one image", files[0]))
    if not files and not sources.allow_missing:
        return (folder / f"{image.stem}{ending}.png",)
    return tuple(files)


class _Masks:
    """Mask files by folder and by their image's name; each is taken once."""

    def __init__(self):
        self._files: dict[Path, dict[str, list[Path]]] = {}
        self.unread: Counter[str] = Counter()  # endings in folders of masks

    def take(self, folder: Path, ending: str, stem: str) -> list[Path]:
        if folder not in self._files:
            files = _files(folder)
            of = self._files[folder] = {}
            for path in filter(is_picture, files):
                if path.stem.endswith(ending):
                    of.setdefault(path.stem.removesuffix(ending), []).append(path)
            if not ending:
                self.unread.update(p.suffix or p.name for p in files if not is_picture(p))
        return self._files[folder].pop(stem, [])

    @property
    def spare(self) -> int:
        return sum(len(paths) for of in self._files.values() for paths in of.values())


def _annotate(root: Path, sources: Sources, found: Found) -> None:
    """What annotation files say of the images; their class, where no folder or table says it."""
    place = _below(root, sources.annotations, "annotations") if sources.annotations else root
    files = Annotated(sources.form, place, sources.regions)
    marked, problems = files.of([sample.image for sample in found.samples])
    found.problems += problems
    found.regions = files.regions
    if files.spare:
        found.notes.append(f"left out annotations of {files.spare} images that are not here")
    for i, sample in enumerate(found.samples):
        marks = marked.get(sample.image)
        if marks is None:
            if not sources.allow_missing:
                reason = "is not annotated: say allow_missing=true, and it is unknown everywhere"
                found.problems.append(Problem(reason, sample.image))
            continue
        label = sample.label or (marks.labels[0] if len(marks.labels) == 1 else "")
        if not label and marks.labels and not sources.several:
            reason = (
                f"shows {' and '.join(marks.labels)}: say its class in a table, or several=true"
            )
            found.problems.append(Problem(reason, sample.image))
        labels = sample.labels
        if sources.several and not sample.label:
            labels = tuple(marks.labels)
        found.samples[i] = replace(sample, label=label, masks=(marks,), labels=labels)


def _attended(samples: list[Sample]) -> list[Sample]:
    """With the rarest of each image's labels as the one whose attention is looked at, and of its
    regions those of that label; without labels the commonest, of which it shows nothing."""
    all_of = [sample.labels or tuple(filter(None, [sample.label])) for sample in samples]
    counts = Counter(label for labels in all_of for label in labels)
    commonest = max(counts, key=counts.__getitem__, default="")
    found = []
    for sample, labels in zip(samples, all_of, strict=True):
        label = min(labels, key=lambda name: (counts[name], name), default=commonest)
        masks = tuple(m.of_label(label) if isinstance(m, Marked) else m for m in sample.masks)
        found.append(replace(sample, label=label, labels=labels, masks=masks))
    return found


def _complete(root: Path, sources: Sources, found: Found) -> None:
    """Every image needs a class; where splits are given, each needs one; patients stay together."""
    told = {problem.path for problem in found.problems}
    for sample in found.samples:
        if not sample.label and sample.image not in told:
            reason = "has no class: put it into a folder of its class, or name a table"
            found.problems.append(Problem(reason, sample.image))
    if any(sample.split for sample in found.samples):
        lacking = (s.image for s in found.samples if not s.split)
        found.problems += [Problem("has no split, and others have", path) for path in lacking]
    where: dict[str, dict[str, None]] = {}
    for sample in found.samples:
        if sample.subject and sample.split:
            where.setdefault(sample.subject, {})[sample.split] = None
    found.problems += [
        Problem(f"{named(who)} is in {' and '.join(splits)}: a patient belongs to one split")
        for who, splits in where.items()
        if len(splits) > 1
    ]
    masks = [m for sample in found.samples for m in sample.masks if isinstance(m, Path)]
    if masks and not any(mask.exists() for mask in masks) and (forms := formats_in(root)):
        raise UserError(
            f"{root} has no mask files; it holds what reads as {' or '.join(forms)}: say "
            f"--data-options format={forms[0]}"
        )


def _nothing(root: Path) -> UserError:
    forms = formats_in(root) if root.is_dir() else []
    said = (
        f"; it holds annotations that read as {forms[0]}: say --data-options format={forms[0]}"
        if forms
        else ""
    )
    return missing(
        "masked-folder",
        (f"{root}/images/<class>/*.png", f"{root}/<class>/*.png"),
        "Put pictures into a folder a class, and masks beside them (x_mask.png) or into "
        f"{root}/masks/<class>{said}",
    )


def _notes(hidden: list[str], others: list[str], unread: Counter[str]) -> Iterator[str]:
    """What was left out and why."""
    if hidden:
        yield f"left out hidden folders {', '.join(map(named, hidden))}"
    if others:
        yield f"left out folders without images {', '.join(map(named, others))}"
    if unread:
        kinds = ", ".join(f"{count} {named(ending)}" for ending, count in sorted(unread.items()))
        yield f"left out files that are not read ({kinds})"


def _is_image(path: Path) -> bool:
    return is_picture(path) and not path.stem.endswith("_mask")
