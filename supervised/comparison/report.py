"""From the folder of a table to its report: tables, figures, page."""

from dataclasses import replace
from pathlib import Path

from rl_attn.reports.analysis import Resampling
from rl_attn.reports.assemble import assemble
from rl_attn.reports.collect import collect
from rl_attn.reports.parts import Report, Section
from rl_attn.reports.writing import write
from rl_attn.supervised.comparison.curves import curve_plates
from rl_attn.supervised.comparison.examples import example_plates
from rl_attn.supervised.comparison.overhead import overhead_table
from rl_attn.supervised.comparison.variance import variance_plates


def compare(folder: Path, out: Path, figures: bool, how: Resampling) -> Report:
    """Write the comparison of a table, however much of it is finished.

    Args:
        folder: of the table's study.
        out: folder for the report.
        figures: draw them; else tables alone, in seconds.
    """
    study = collect(folder)
    attention = [*example_plates(study), *variance_plates(study), *curve_plates(study)]
    report = assemble(study, how, 0.0, attention)
    costs = Section("Overhead", [overhead_table(study)])
    sections = [*report.sections[:-1], costs, report.sections[-1]]  # the runs come last
    report = replace(report, sections=sections)
    if not figures:
        report = report.without_plates()
    write(study, report, out)
    return report
