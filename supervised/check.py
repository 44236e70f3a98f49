"""What a data set holds, and what to do about it, before anything is trained.

    rl-attn check DIR --sheet sheet.png              # a folder of your own
    rl-attn check DIR --data-options format=coco
    rl-attn check monsters --data-options split=shortcut

counts images, classes and splits, sizes, and what the masks mark; says what was left out and why,
which pictures look alike, and in a line each what must be fixed and what could be improved, and
draws a contact sheet with the files' names. Exit status 1: training would refuse the set.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from annotated_types import Interval

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import command, read_options, run_command
from rl_attn.run.ending import console, say
from rl_attn.run.plugins import import_all
from rl_attn.supervised.data import LOADERS

if TYPE_CHECKING:
    from rich.table import Table

    from rl_attn.supervised.data.survey import Facts

#: The data set that a folder is read as.
FOLDER = "masked-folder"


@dataclass(frozen=True)
class CheckSettings:
    """What a data set holds, and what to do about it."""

    data: tyro.conf.Positional[str]
    """a folder of your own, or a data set by name; an unknown name lists them"""
    data_root: Path | None = None
    """of a data set by name: folder with the data that you downloaded"""
    data_options: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE")] = ()
    """of the data set: key=value ..., as rl-attn train takes them"""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """modules or files MODULE.py that register data sets or annotation formats of your own"""
    sheet: Path | None = None
    """draw a contact sheet into this PNG file"""
    split: str = "train"
    """whose pictures the sheet shows, of a data set by name"""
    columns: Annotated[int, Interval(ge=1, le=1000)] = 8
    """pictures of each class on the sheet"""
    colours: Annotated[int, Interval(ge=0, le=256)] = 128
    """colours that the sheet's file is reduced to; 0 keeps them all"""


#: Kinds of masks that get a column, where there are any.
KINDS = {
    "empty": "empty masks",
    "full": "full masks",
    "soft": "soft masks",
    "none": "not annotated",
    "unread": "mask not read",
}


@command(CheckSettings, "rl-attn check")
def main(args: CheckSettings) -> int:
    if args.sheet is not None and not args.sheet.absolute().parent.is_dir():
        raise UserError(f"the sheet {args.sheet} cannot be written: its folder does not exist")
    if args.sheet is not None and args.sheet.is_dir():
        raise UserError(f"the sheet {args.sheet} is a folder: name a file in it")
    import_all(args.imports)
    if not Path(args.data).is_dir() or args.data == FOLDER:
        LOADERS.check(args.data)
    from PIL import Image

    from rl_attn.supervised.data.sheet import contact_sheet
    from rl_attn.supervised.data.survey import advice, described_facts

    facts = facts_of(args)
    console().print(table(args.data, facts))
    lines = [*described_facts(facts), *advice(facts)]
    print("\n".join(lines))
    if args.sheet is not None and facts.cells:
        rows = {
            f"{facts.classes[label]} ({facts.labels.count(label):,})": cells
            for label, cells in sorted(facts.cells.items())
            if cells
        }
        picture = Image.fromarray(contact_sheet(rows))
        if args.colours:
            picture = picture.quantize(args.colours, Image.Quantize.MEDIANCUT)
        picture.save(args.sheet, "PNG", optimize=True)
    sheet = f"{args.sheet}: images, and what their masks keep; blue is unknown"
    say(
        sheet=sheet if args.sheet is not None and facts.cells else None,
        next=None if facts.faults else training(args, len(set(facts.sizes)) > 1),
    )
    return 1 if facts.faults else 0


def training(args: CheckSettings, resized: bool) -> str:
    """The command that trains on the set; `resized`: its images need to be brought to one size."""
    words = ["rl-attn", "train", "--data", args.data]
    root = args.data_root
    if args.data not in LOADERS:
        words[-1], root = FOLDER, args.data
    for flag, values in (
        ("--data-root", [root] if root else []),
        ("--data-options", args.data_options),
        ("--import", args.imports),
        ("--size", [224] if resized else []),
    ):
        words += [flag, *map(str, values)] if values else []
    return shlex.join(words)


def facts_of(args: CheckSettings) -> "Facts":
    """A folder's, from its files; those of a data set by name, from what is loaded."""
    from rl_attn.supervised.data.registry import load, options_for
    from rl_attn.supervised.data.survey import of_dataset, of_folder

    given = read_options(args.data_options, "--data-options")
    if args.data in LOADERS and args.data != FOLDER:
        dataset = load(args.data, args.data_root, **given)
        choose("split", args.split, list(dataset.splits))
        return of_dataset(dataset, args.split, args.columns)
    from rl_attn.supervised.data.folder import find, image_options

    root = args.data_root if args.data == FOLDER else Path(args.data)
    options = options_for(FOLDER, given)
    found, masks = find(root, **options)
    images = image_options(**options)
    return of_folder(root, found, masks, images, options.get("seed", 0), args.columns)


def table(name: str, facts: "Facts") -> "Table":
    """A row a class: pictures in all and in each split, and what their masks are."""
    from rich.table import Table

    of = facts.classes
    what = f"in {len(of)} classes" if len(of) > 1 else f"with {of[0]}"  # a class, or a number
    found = Table(title=f"{name}: {len(facts.labels):,} images {what}")
    found.add_column("class")
    kinds = {name: title for name, title in KINDS.items() if name in facts.kinds}
    for column in ("images", *facts.splits, *kinds.values(), "covered"):
        found.add_column(column, justify="right")
    for label, title in enumerate((*facts.classes, "all") if len(of) > 1 else ("all",)):
        every = label == len(of) or len(of) == 1
        rows = [i for i, own in enumerate(facts.labels) if every or own == label]
        told = [facts.kinds[i] for i in rows]
        splits = [len(own) if every else own.count(label) for own in facts.splits.values()]
        cover = [facts.cover[i] for i in rows if facts.kinds[i] not in ("none", "unread")]
        share = f"{sum(cover) / len(cover):.1%}" if cover else ""
        numbers = [len(rows), *splits, *map(told.count, kinds)]
        found.add_row(title, *(f"{n:,}" for n in numbers), share)
    return found


if __name__ == "__main__":
    run_command(main)
