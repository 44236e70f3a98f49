"""A study becomes a report: which numbers, tables and figures, in which order."""

from functools import partial

import pandas as pd

from rl_attn.reports import analysis, content, figures
from rl_attn.reports.analysis import Resampling
from rl_attn.reports.comparison import (
    Measured,
    compare,
    comparison_parts,
    measure,
    scale_note,
    size,
)
from rl_attn.reports.curves import areas
from rl_attn.reports.heat_maps import heat_map_plates, look_plates
from rl_attn.reports.parts import Plate, Report, Section
from rl_attn.reports.provenance import configurations, version_notes, versions_of
from rl_attn.reports.scores import Scores
from rl_attn.reports.study import Study
from rl_attn.reports.tables import Table


def assemble(study: Study, how: Resampling, smoothing: float, gallery: list[Plate]) -> Report:
    """Everything but the writing.

    Args:
        smoothing: share of a run's rows that its learning curve is averaged over.
        gallery: pictures of attention.
    """
    versions = versions_of(study)
    notes = list(study.problems)
    measured = [measure(study, metric, smoothing, notes) for metric in study.metrics]
    shown = [one for one in measured if one.raw.present()]
    missing = [one.raw.metric.label for one in measured if one not in shown]
    notes += [f"no run has a value of {label}" for label in missing]
    sections, verdicts = _answer(study, shown, gallery), []
    if shown and not study.paired:
        compared = compare(study, shown, how, notes)
        verdicts = content.verdict_lines(compared.pairs, compared.labels)
        if comparison := comparison_parts(study, shown, compared):
            sections.append(Section("Comparison", comparison))
        parts = [_seed_parts(study, one, compared.of(one.scales[0]), how) for one in shown]
    else:
        parts = [_paired_parts(study, one) for one in shown]
        notes += _too_few(study, shown)
    for one, some in zip(shown, parts, strict=True):
        curves = _curve_parts(study, one, smoothing)
        sections.append(Section(one.raw.metric.label, [*some, *curves]))
    if study.tuned:
        sections.append(Section("Tuning", [content.tuning_table(study)]))
    notes += version_notes(versions)
    sections.append(Section("Runs", _run_parts(study, versions)))
    return Report(sections, verdicts, list(dict.fromkeys(notes)))


def _answer(study: Study, shown: list[Measured], gallery: list[Plate]) -> list[Section]:
    """One table, then pictures, and the study's own grid; [] where nothing has come out yet."""
    means = [(one.raw, analysis.task_means(one.raw)) for one in shown]
    tables = [content.answer_table(means, study.run_name)] if means else []
    parts = [*tables, *look_plates(study), *gallery]
    grids = heat_map_plates(study, list(study.heat_maps))
    found = {"Answer": parts, "Grid": grids}
    return [Section(title, some) for title, some in found.items() if some]


def _seed_parts(study: Study, one: Measured, found: pd.DataFrame, how: Resampling) -> list:
    """Tables and figures of one metric.

    Args:
        found: aggregates of the scale that is shown.
    """
    means = {scale.scale: analysis.task_means(scale) for scale in one.scales}
    parts: list = [content.task_table(one.raw, means["raw"], "seed")]
    if one.normalised:
        parts.append(content.task_table(one.normalised, means["normalised"], "seed"))
    parts.append(_task_plate(one.raw, means["raw"], "interval"))
    if not found.empty:
        shown = one.scales[0]
        parts.append(_aggregate_plate(study, shown, found))
        profiles = analysis.profiles(shown, how)
        if profiles["threshold"].nunique() > 1:  # else all runs score the same
            parts.append(_profile_plate(study, shown, profiles, size(found)))
    return parts


def _aggregate_plate(study: Study, shown: Scores, found: pd.DataFrame) -> Plate:
    return Plate(
        name=f"aggregates_{shown.metric.slug}",
        title=f"{shown.metric.label}: aggregates",
        caption=f"{shown.title} over tasks and runs, with 95 % stratified bootstrap intervals "
        f"({size(found)}).{scale_note(shown)}",
        alt=f"Aggregates of {shown.title} for each method; the numbers are in the table "
        "Aggregates over tasks",
        draw=partial(figures.aggregate_panels, found, shown.title, study.methods),
    )


def _profile_plate(study: Study, shown: Scores, profiles: pd.DataFrame, size: str) -> Plate:
    return Plate(
        name=f"profile_{shown.metric.slug}",
        title=f"{shown.metric.label}: performance profile",
        caption=f"Share of runs whose {shown.title} is above a threshold, with pointwise 95 % "
        f"bands ({size}). {shown.metric.better.capitalize()} is better.{scale_note(shown)}",
        alt=f"Performance profiles of {shown.title}; the numbers are in the CSV below",
        draw=partial(figures.profile_curves, profiles, shown.title, study.methods),
        data=profiles,
    )


def _paired_parts(study: Study, one: Measured) -> list:
    means, tests = analysis.task_means(one.raw), analysis.fold_tests(one.raw, study.test_share)
    tables = [content.fold_table(one.raw, means, tests, study.run_name)]
    if not tests.empty:
        tables.append(content.test_table(one.raw, tests, study.run_name))
    return [*tables, _task_plate(one.raw, means, "std")]


def _too_few(study: Study, shown: list[Measured]) -> list[str]:
    """Of n pairs Wilcoxon's p is at least 2^-n: of few, nothing can be significant."""
    pairs = max((len(runs) for one in shown for runs in one.raw.values.values()), default=0)
    if len(study.methods) < 2 or 0.5**pairs < analysis.LEVEL:
        return []
    return [
        f"{pairs} {study.run_name}{'s' if pairs != 1 else ''}: Wilcoxon's p is {0.5**pairs:g} at "
        "best, so nothing is bold"
    ]


def _task_plate(raw: Scores, means: pd.DataFrame, spread: str) -> Plate:
    bars = "95 % interval (1.96 standard errors)" if spread == "interval" else "standard deviation"
    dotted = f" Dotted: {raw.metric.reference}." if raw.references else ""
    return Plate(
        name=f"tasks_{raw.metric.slug}",
        title=f"{raw.metric.label}: each task",
        caption=f"{raw.metric.label} of every run (dots), mean and {bars}.{dotted}",
        alt=f"{raw.metric.label} of each method on each task; the numbers are in the table above",
        draw=partial(figures.task_panels, raw, means, spread),
    )


def _curve_parts(study: Study, one: Measured, smoothing: float) -> list[Plate | Table]:
    if one.curves.empty:
        return []
    label, share = one.raw.metric.label, f"{smoothing:.0%}"
    smooth = f"Each run is smoothed: a mean over its last {share} of rows." if smoothing else ""
    return [
        Plate(
            name=f"curves_{one.raw.metric.slug}",
            title=f"{label}: learning curves",
            caption=f"{label} during training: mean over {study.run_name}s and its 95 % interval, "
            f"raw, from metrics.csv. {smooth} Unfinished runs count as far as they got.",
            alt=f"{label} against training steps, for each task and method",
            draw=partial(figures.curve_panels, one.curves, label, study.methods),
            data=one.curves,
        ),
        content.area_table(one.raw, areas(one.curves)),
    ]


def _run_parts(study: Study, versions: dict[str, dict[str, str]]) -> list:
    parts = [content.runs_table(study)]
    if versions:
        note = "As each run wrote them when it started."
        parts.append(content.settings_table(versions, "versions", "Versions", note))
    settings = configurations(study)
    if settings:
        note = "From the runs' config.yaml; folders and the seed are left out."
        parts.append(content.settings_table(settings, "configuration", "Configuration", note))
    return parts
