"""Report on a study: tables, figures and one page, from its run folders alone.

    python -m rl_attn.report runs/studies/camal_drl_cpu
    python -m rl_attn.report STUDY --metrics iou --out paper/
    python -m rl_attn.report runs/masked-folder/...        # one classifier, see reports/classifier

Leaves in STUDY/report (or --out)

    index.html                 the page: open it in a browser
    tables/NAME.csv .md .tex   every table; LaTeX's need booktabs and graphicx
    figures/NAME.png .pdf      every figure, and NAME.csv where no table holds its numbers

A study that is unfinished or partly broken gives a report that says so. The same folder, seed and
flags give the same tables, byte for byte.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from annotated_types import Interval

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import command, run_command
from rl_attn.run.ending import say
from rl_attn.run.settings import PathText, Seed, Share

if TYPE_CHECKING:
    from rl_attn.reports.parts import Plate
    from rl_attn.reports.study import Study


@dataclass
class ReportSettings:
    """Tables, figures and a page from the run folders of a study."""

    study: Annotated[PathText, tyro.conf.Positional]
    """folder of a study of rl_attn.study, or of one run of rl-attn train"""
    out: PathText | None = None
    """folder for the report (default: STUDY/report)"""
    metrics: tuple[str, ...] = ()
    """names of an evaluation's summary to report (default: those of the study file)"""
    resamples: Annotated[int, Interval(ge=1, le=10**7)] = 50_000
    """resamples of each bootstrap"""
    seed: Seed = 0
    """random seed of the resampling: the same seed gives the same intervals"""
    smoothing: Share = 0.05
    """learning curves: each run is averaged over this share of its rows (0: not at all)"""
    figures: bool = True
    """draw figures (off: tables alone, in seconds)"""
    attention: bool = True
    """draw what each method attends to (agents play for it: a minute or two on a CPU)"""
    frames: Annotated[int, Interval(ge=1, le=100)] = 2
    """frames of each task in that picture"""


def check(args: ReportSettings) -> None:
    if not Path(args.study).is_dir():
        raise UserError(f"study folder {args.study} does not exist")


def is_classifier(folder: Path) -> bool:
    """Whether it is a run of rl-attn train."""
    from rl_attn.run.yaml import load_yaml

    file = folder / "config.yaml"
    return file.is_file() and "backbone" in load_yaml(file)


def selected(study: "Study", names: tuple[str, ...]) -> "Study":
    """The study with the metrics of these names; as it is where there are none."""
    if not names:
        return study
    from rl_attn.reports.study import Metric

    known = {metric.name: metric for metric in study.metrics}
    for cell in study.cells:
        for name in cell.summary:
            known.setdefault(name, Metric(name, name.replace("_", " ")))
    return replace(study, metrics=[known[choose("metric", n, list(known))] for n in names])


def gallery(study: "Study", args: ReportSettings) -> "list[Plate]":
    """Pictures of attention: drawn from agents, or those that other commands left."""
    if not (args.figures and args.attention):
        return []
    if study.command == "rl_attn.ppo":
        from rl_attn.reports.agents import attention_plates  # games and torch: only here

        return attention_plates(study, args.frames)
    from rl_attn.reports.gallery import picture_plates

    return picture_plates(study)


@command(ReportSettings, "rl-attn report")
def main(args: ReportSettings) -> int:
    check(args)
    out = Path(args.out or Path(args.study) / "report")
    if is_classifier(Path(args.study)):
        from rl_attn.reports.classifier import classifier_report

        classifier_report(Path(args.study), out, args.seed)
        say(report=out / "index.html", tables=f"{out / 'metrics.csv'}, images.csv")
        return 0
    from rl_attn.reports.analysis import Resampling
    from rl_attn.reports.assemble import assemble
    from rl_attn.reports.collect import collect
    from rl_attn.reports.writing import write

    study = selected(collect(Path(args.study)), args.metrics)
    pictures = gallery(study, args)
    report = assemble(study, Resampling(args.resamples, args.seed), args.smoothing, pictures)
    if not args.figures:
        report = report.without_plates()
    write(study, report, out)
    for line in report.verdicts:
        print(f"{line['metric']}: {line['text']}: {line['verdict']} ({line['runs']})")
    for note in report.notes:
        print(f"note: {note}")
    say(report=out / "index.html", tables=out / "tables", figures=out / "figures")
    return 0


if __name__ == "__main__":
    run_command(main)
