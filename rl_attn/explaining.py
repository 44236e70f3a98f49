"""What `rl_attn.explain` does: every image asked about, a table and a page of all."""

from itertools import chain, count
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from rl_attn.attention.cells import few
from rl_attn.errors import UserError
from rl_attn.explain import ExplainSettings
from rl_attn.explanation import Explanation
from rl_attn.loaded_agent import Agent
from rl_attn.loading import is_name, load
from rl_attn.reports.album import Page, Part, Shown, album
from rl_attn.run.ending import console, say
from rl_attn.run.files import replacing, write_text
from rl_attn.run.folder import make
from rl_attn.run.progress import bar
from rl_attn.supervised.data.images import is_picture
from rl_attn.supervised.inputs import mask_beside

#: Rows that are printed; the table in the file has all.
_PRINTED = 20


def explain_all(args: ExplainSettings) -> int:
    """Write what --out holds, print the first rows; returns the exit status."""
    files = pictures_of(args.images)
    names = unique_names(files)
    out = Path(args.out) if args.out else place_of(args.run)
    refuse_to_overwrite(out, names, files)
    network: Any = load(args.run, args.device, args.weights)
    how = {"label": args.label} if args.label else {}
    if args.attention_target:
        if not isinstance(network, Agent):
            raise UserError(f"--attention-target is of agents, and {args.run} is a classifier")
        how["target"] = args.attention_target
    place = Path(args.masks) if args.masks else None
    masks = [mask_beside(file, place) for file in files]
    for file, mask in zip(files, masks, strict=True):
        network.read(file, mask)  # a file that is no image is told before anything is written
    found: list[Explanation] = []
    with bar("explaining", len(files)) as progress:
        for file, name, mask in zip(files, names, masks, strict=True):
            one = network.explain(file, args.maps, mask=mask, **how)
            if not found:
                make(out)  # only now: a map that there is not leaves nothing behind
            with replacing(out / f"{name}.png") as scratch:
                one.show().save(scratch, "PNG")
            found.append(one)
            progress(len(found))
    table = as_table(files, found)
    write_text(out / "explanations.csv", table.to_csv(index=False, float_format="%.6g"))
    write_text(out / "index.html", album(page(args.run, files, names, found)))
    printed(table.iloc[:_PRINTED], found)
    for one in found[0].attentions.values():
        coarse = few(one.grid, found[0].image.shape[:2], getattr(network, "layer", None) or "")
        if coarse and not isinstance(network, Agent):
            print(f"note: {coarse}")
            break
    say(images=len(files), table=out / "explanations.csv", page=out / "index.html")
    return 0


def refuse_to_overwrite(out: Path, names: list[str], files: list[Path]) -> None:
    """UserError where a picture would take the place of a file that no earlier call has left."""
    asked = {file.resolve() for file in files}
    earlier = (out / "explanations.csv").is_file()
    for place in (out / f"{name}.png" for name in names):
        if place.exists() and (not earlier or place.resolve() in asked):
            raise UserError(f"{place} exists already: name another folder by --out, or remove it")


def place_of(run: str) -> Path:
    """Where what is written lies, if nothing is said."""
    if is_name(run):
        return Path("explanations") / run.replace(":", "-").replace("/", "-")
    return Path(run.removesuffix(".zip")) / "explanations"


def pictures_of(places: tuple[str, ...]) -> list[Path]:
    """Image files, those of folders in the order of their names; masks are left out."""
    found: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            for file in sorted(place.rglob("*")):
                folders = file.relative_to(place).parts[:-1]
                left_out = "masks" in folders or any(f.startswith((".", "__")) for f in folders)
                if is_picture(file) and not left_out and not file.stem.endswith("_mask"):
                    found.append(file)
        else:
            found.append(place)
    if not found:
        raise UserError(f"no image in {', '.join(places)}: PNG, JPEG, BMP, TIFF and WebP are read")
    return list(dict.fromkeys(found))


def unique_names(files: list[Path]) -> list[str]:
    """A name each for what is written: the file's own, and a number where it is taken."""
    names: dict[str, None] = {}
    for file in files:
        numbered = (f"{file.stem}-{i}" for i in count(2))
        names[next(name for name in chain([file.stem], numbered) if name not in names)] = None
    return list(names)


def as_table(files: list[Path], found: list[Explanation]) -> pd.DataFrame:
    """A row an image: file, label, probability, every score, IoU of every map."""
    return pd.DataFrame(
        [
            {
                "file": str(file),
                "label": one.label,
                "probability": one.probability,
                **{f"score/{name}": value for name, value in one.scores.items()},
                **{f"iou/{name}": value for name, value in one.overlap.items()},
            }
            for file, one in zip(files, found, strict=True)
        ]
    )


def page(run: str, files: list[Path], names: list[str], found: list[Explanation]) -> Page:
    """All images, each with its maps."""
    shown = [
        Shown(f"{name}.png", f"{file}: {one.title}", f"{one.title}: {file}")
        for file, name, one in zip(files, names, found, strict=True)
    ]
    counts = pd.Series([one.label for one in found]).value_counts()
    said = ", ".join(f"{label}: {count}" for label, count in counts.iloc[:12].items())
    if found[0].signed:
        values = [one.scores[one.label] for one in found]
        said = f"{found[0].label} {min(values):.4g} to {max(values):.4g}"
    maps = ", ".join(found[0].maps)
    lead = f"{len(files)} images asked of {run}. Predicted: {said}. Maps: {maps}."
    return Page(f"Explanations of {Path(run).name}", lead, [Part("", pictures=shown)])


def printed(table: pd.DataFrame, found: list[Explanation]) -> None:
    ious = [column for column in table if column.startswith("iou/")]
    said = [f"score/{found[0].label}"] if found[0].signed else ["label", "probability"]
    heads = [found[0].label] if found[0].signed else ["label", "prob."]
    shown = Table("file", *heads, *(iou.replace("iou/", "IoU ") for iou in ious))
    for column in shown.columns:  # in a narrow place words go on below, and no end is lost
        column.overflow = "fold"
    for row in table[["file", *said, *ious]].itertuples(index=False):
        numbers = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row[1:])
        shown.add_row(Path(row[0]).name, *numbers)
    console().print(shown)
