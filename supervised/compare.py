"""Run a table of the papers and write it: every data set, backbone, method and fold.

    python -m supervised.compare configs/tables/camal_monsters_cpu.yaml --workers 2
    python -m supervised.compare configs/tables/camal_vanilla.yaml --data-root ~/data --ray auto
    python -m supervised.compare configs/tables/camal_monsters_cpu.yaml --report-only

The file is a study of `supervised.train` (see `rl_attn/studies/schema.py`); its folds and seeds
are the same for every method. The runs are those of `rl_attn.study`: finished ones stay, an
interrupted table goes on where it stopped. When all have ended, runs/tables/NAME/report holds

    index.html                 the page
    tables/NAME.csv .md .tex   mean +- s.d., bold where Wilcoxon's test says so; p in the CSV
    figures/NAME.png .pdf      deletion and insertion, spatial variance, heat maps, attention side
                               by side, runs and learning curves
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from annotated_types import Interval

from rl_attn import study
from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command
from rl_attn.run.configs import find_config
from rl_attn.run.ending import say
from rl_attn.run.settings import PathText
from rl_attn.supervised.comparison.table import read_table

if TYPE_CHECKING:
    from rl_attn.reports.parts import Report

#: Exit statuses of a study that has ended, whether or not all its runs are well.
ENDED = (0, 1)


@dataclass
class TableSettings(study.StudySettings):
    """Run a table of the papers and write it: every data set, backbone, method and fold."""

    study: Annotated[PathText, tyro.conf.Positional]
    """the table's file, or the name of one of the package's, for example camal_monsters_cpu"""
    out: PathText | None = None
    """folder of the table (default: runs/tables/NAME)"""
    data_root: PathText | None = None
    """folder with the data sets that you downloaded (default: as the file says)"""
    attention: str | None = None
    """what map is trained and measured, as in rl-attn train (default: as the file says)"""
    report_only: bool = False
    """run nothing: write the report of what is finished"""
    figures: bool = True
    """draw figures (off: tables alone, in seconds)"""
    resamples: Annotated[int, Interval(ge=1, le=10**7)] = 50_000
    """of each bootstrap, in tables of unpaired seeds"""


def write_report(folder: Path, args: TableSettings) -> None:
    """Write the comparison; say what it says."""
    from rl_attn.reports.analysis import Resampling  # pandas and matplotlib: not before the runs
    from rl_attn.supervised.comparison.report import compare

    report = compare(folder, folder / "report", args.figures, Resampling(args.resamples))
    print(_summary(report), end="")
    say(report=folder / "report" / "index.html")


def _summary(report: "Report") -> str:
    """The tables of the metrics in reading order, and notes about them."""
    kinds = ("tasks_", "tests_", "tuned")
    shown = [table.markdown() for table in report.tables() if table.name.startswith(kinds)]
    return "\n".join([*shown, *(f"note: {note}\n" for note in report.notes)])


@command(TableSettings, "rl-attn compare")
def main(args: TableSettings) -> int:
    if args.report_only and args.dry_run:
        raise UserError("--report-only runs nothing and --dry-run writes nothing: leave one out")
    file = find_config(args.study, "table")
    table = read_table(file, args.data_root, args.attention)
    folder = Path(args.out or Path("runs/tables") / file.stem).absolute()
    if args.report_only:
        if not (folder / "study.yaml").is_file():
            raise UserError(f"{folder} holds no table: run it first, or name its folder (--out)")
        write_report(folder, args)
        return 0
    status = study.start(table, folder, args)
    if status in ENDED and not args.dry_run and (folder / "study.yaml").is_file():
        write_report(folder, args)
    return status


if __name__ == "__main__":
    run_command(main)
