"""A study becomes a report: which numbers, tables and figures, in which order."""

from dataclasses import dataclass
from functools import partial

import pandas as pd

from rl_attn.reports import analysis, content, figures
from rl_attn.reports.analysis import Resampling
from rl_attn.reports.curves import learning_curves
from rl_attn.reports.parts import Plate, Report, Section
from rl_attn.reports.provenance import configurations, version_notes, versions_of
from rl_attn.reports.scores import Scores, normalised, scores
from rl_attn.reports.study import Metric, Study

#: Fewer runs a task than this, and percentile intervals are known to be too narrow.
FEW_RUNS = 5


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric with its normalised twin, where it has one, and its learning curves."""

    raw: Scores
    normalised: Scores | None
    curves: pd.DataFrame

    @property
    def scales(self) -> list[Scores]:
        return [self.normalised, self.raw] if self.normalised else [self.raw]


def assemble(study: Study, how: Resampling, smoothing: float, gallery: list[Plate]) -> Report:
    """Everything but the writing.

    Args:
        smoothing: share of a run's rows that its learning curve is averaged over.
        gallery: pictures of attention.
    """
    notes = list(study.problems)
    measured = [_measure(study, metric, smoothing, notes) for metric in study.metrics]
    shown = [one for one in measured if one.raw.present()]
    notes += [
        f"no run has a value of {one.raw.metric.label}" for one in measured if one not in shown
    ]
    runs = study.run_name == "seed"
    summary, verdicts = _comparisons(study, shown, how, notes) if runs else ([], [])
    sections = [Section("Comparison", summary)] if summary else []
    for one in shown:
        parts = _seed_parts(study, one, how) if runs else _fold_parts(one)
        sections.append(
            Section(one.raw.metric.label, [*parts, *_curve_parts(study, one, smoothing)])
        )
    if gallery:
        sections.append(Section("Attention", list(gallery)))
    versions = versions_of(study)
    notes += version_notes(versions)
    sections.append(Section("Runs", _run_parts(study, versions)))
    return Report(sections, verdicts, list(dict.fromkeys(notes)))


def _measure(study: Study, metric: Metric, smoothing: float, notes: list[str]) -> Measured:
    raw = scores(study, metric)
    scaled, remarks = normalised(raw)
    curves, unread = learning_curves(study, metric, smoothing)
    notes += [*remarks, *unread]
    return Measured(raw, scaled, curves)


def _comparisons(
    study: Study, shown: list[Measured], how: Resampling, notes: list[str]
) -> tuple[list, list[dict[str, str]]]:
    """Figures 4 and 6 for each metric, the tables over all tasks, and the verdicts."""
    scales = [scale for one in shown for scale in one.scales]
    for one in shown:
        notes += one.scales[0].left_out()
    labels = {one.raw.metric.name: one.raw.metric.label for one in shown}
    found = analysis.over(scales, partial(analysis.aggregates, how=how))
    pairs = analysis.over([one.raw for one in shown], partial(analysis.improvements, how=how))
    if found.empty:
        return [], []
    few = found["runs"].min()
    if few < FEW_RUNS:
        notes.append(
            f"{few} run{'s' if few > 1 else ''} a task: bootstrap intervals of so few are too "
            "narrow, read verdicts as provisional"
        )
    others = len(study.methods) - 1
    if others > 1:
        notes.append(
            f"{others} methods are compared with {study.baseline}; the intervals are not corrected "
            "for the number of comparisons"
        )
    parts: list = [_comparison(study, one, found, pairs) for one in shown if len(study.methods) > 1]
    titles = {(s.metric.name, s.scale): s.title for s in scales}
    parts.append(content.aggregate_table(found, titles))
    if not pairs.empty:
        parts.append(content.improvement_table(pairs, labels))
    return parts, content.verdict_lines(pairs, labels)


def _of(table: pd.DataFrame, scores: Scores) -> pd.DataFrame:
    """Rows of one metric, and of its scale where the table tells scales apart."""
    rows = table[table["metric"] == scores.metric.name]
    return rows[rows["scale"] == scores.scale] if "scale" in rows else rows


def _comparison(study: Study, one: Measured, found: pd.DataFrame, pairs: pd.DataFrame) -> Plate:
    shown = one.scales[0]
    means, chances = _of(found, shown), _of(pairs, one.raw)
    said = "; ".join(
        line["text"] + f", {line['verdict']}"
        for line in content.verdict_lines(chances, {shown.metric.name: shown.metric.label})
    )
    return Plate(
        name=f"comparison_{shown.metric.name}",
        title=f"{shown.metric.label}: comparison over tasks",
        caption=f"{shown.title}. Left: mean over tasks and runs. Right: probability that a run "
        f"of a method beats one of {study.baseline}; 0.5 means no difference. Bars are 95 % "
        f"stratified bootstrap intervals ({_size(means)}).{_scale(shown)}",
        alt=f"Mean {shown.title} of each method, and {said or 'no comparison'}",
        draw=partial(figures.comparison, means, chances, shown.title, study.methods),
    )


def _size(means: pd.DataFrame) -> str:
    if means.empty:
        return "no runs"
    tasks, runs = means["tasks"].iloc[0], sorted(set(means["runs"]))
    return f"{tasks} task{'s' if tasks > 1 else ''}, {' to '.join(map(str, runs))} runs each"


def _scale(shown: Scores) -> str:
    if shown.scale == "raw":
        return ""
    return (
        f" Scores are normalised on each task: 0 is the mean of the {shown.metric.reference} "
        "policy, 1 the best mean of any method here."
    )


def _seed_parts(study: Study, one: Measured, how: Resampling) -> list:
    means = {scale.scale: analysis.task_means(scale) for scale in one.scales}
    parts: list = [content.task_table(one.raw, means["raw"], "seed")]
    if one.normalised:
        parts.append(content.task_table(one.normalised, means["normalised"], "seed"))
    parts.append(_task_plate(one.raw, means["raw"], "interval"))
    shown = one.scales[0]
    found = analysis.aggregates(shown, how)
    if found.empty:
        return parts
    parts.append(
        Plate(
            name=f"aggregates_{shown.metric.name}",
            title=f"{shown.metric.label}: aggregates",
            caption=f"{shown.title} over tasks and runs, with 95 % stratified bootstrap "
            f"intervals ({_size(found)}).{_scale(shown)}",
            alt=f"Aggregates of {shown.title} for each method; the numbers are in the table "
            "Aggregates over tasks",
            draw=partial(figures.aggregate_panels, found, shown.title, study.methods),
        )
    )
    profiles = analysis.profiles(shown, how)
    if profiles["threshold"].nunique() > 1:
        parts.append(
            Plate(
                name=f"profile_{shown.metric.name}",
                title=f"{shown.metric.label}: performance profile",
                caption=f"Share of runs whose {shown.title} is above a threshold, with pointwise "
                f"95 % bands ({_size(found)}). Higher is better."
                if shown.metric.better == "higher"
                else f"Share of runs whose {shown.title} is above a threshold. Lower is better.",
                alt=f"Performance profiles of {shown.title}",
                draw=partial(figures.profile_curves, profiles, shown.title, study.methods),
                data=profiles,
            )
        )
    return parts


def _fold_parts(one: Measured) -> list:
    means, tests = analysis.task_means(one.raw), analysis.fold_tests(one.raw)
    return [content.fold_table(one.raw, means, tests), _task_plate(one.raw, means, "std")]


def _task_plate(raw: Scores, means: pd.DataFrame, spread: str) -> Plate:
    bars = "95 % interval (1.96 standard errors)" if spread == "interval" else "standard deviation"
    dotted = f" Dotted: {raw.metric.reference}." if raw.references else ""
    return Plate(
        name=f"tasks_{raw.metric.name}",
        title=f"{raw.metric.label}: each task",
        caption=f"{raw.metric.label} of every run (dots), mean and {bars}.{dotted}",
        alt=f"{raw.metric.label} of each method on each task; the numbers are in the table above",
        draw=partial(figures.task_panels, raw, means, spread),
    )


def _curve_parts(study: Study, one: Measured, smoothing: float) -> list[Plate]:
    if one.curves.empty:
        return []
    label, share = one.raw.metric.label, f"{smoothing:.0%}"
    smooth = f"Each run is smoothed: a mean over its last {share} of rows." if smoothing else ""
    return [
        Plate(
            name=f"curves_{one.raw.metric.name}",
            title=f"{label}: learning curves",
            caption=f"{label} during training: mean over {study.run_name}s and its 95 % interval, "
            f"raw, from metrics.csv. {smooth} Unfinished runs count as far as they got.",
            alt=f"{label} against training steps, for each task and method",
            draw=partial(figures.curve_panels, one.curves, label, study.methods),
            data=one.curves,
        )
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
