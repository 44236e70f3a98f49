"""All metrics over all tasks: aggregates, probabilities of improvement, and Figures 4 and 6."""

from dataclasses import dataclass
from functools import partial

import pandas as pd

from rl_attn.reports import analysis, content, figures
from rl_attn.reports.analysis import Resampling
from rl_attn.reports.curves import learning_curves
from rl_attn.reports.parts import Plate
from rl_attn.reports.scores import ANCHORS_HELD, Scores, normalised, scores
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


def measure(study: Study, metric: Metric, smoothing: float, notes: list[str]) -> Measured:
    """Read a metric's numbers; what could not be read or normalised is added to `notes`."""
    raw = scores(study, metric)
    scaled, remarks = normalised(raw)
    curves, unread = learning_curves(study, metric, smoothing)
    notes += [*remarks, *unread]
    return Measured(raw, scaled, curves)


@dataclass(frozen=True, eq=False)
class Compared:
    """All metrics over all tasks: aggregates, and probabilities of improvement."""

    aggregates: pd.DataFrame
    pairs: pd.DataFrame
    labels: dict[str, str]  # metric -> its label
    titles: dict[tuple[str, str], str]  # (metric, scale) -> its name

    def of(self, scores: Scores) -> pd.DataFrame:
        """Aggregates of one metric on one scale."""
        table = self.aggregates
        return table[(table["metric"] == scores.metric.name) & (table["scale"] == scores.scale)]


def compare(study: Study, shown: list[Measured], how: Resampling, notes: list[str]) -> Compared:
    """Compute what Figures 4 and 6 show; what limits its meaning is added to `notes`."""
    scales = [scale for one in shown for scale in one.scales]
    for one in shown:
        if one.raw.metric.compared:
            notes += one.scales[0].left_out()
    compared = Compared(
        analysis.over(scales, partial(analysis.aggregates, how=how)),
        analysis.over([one.raw for one in shown], partial(analysis.improvements, how=how)),
        {one.raw.metric.name: one.raw.metric.label for one in shown},
        {(scale.metric.name, scale.scale): scale.title for scale in scales},
    )
    few = compared.aggregates["runs"].min()
    if few == 1:
        notes.append("1 run a task: no intervals and no verdicts")
    elif few < FEW_RUNS:
        notes.append(
            f"{few} runs a task: bootstrap intervals of so few are too narrow, read verdicts as "
            "provisional"
        )
    if len(study.methods) > 2:
        notes.append(
            f"{len(study.methods) - 1} methods are compared with {study.baseline}; the intervals "
            "are not corrected for the number of comparisons"
        )
    return compared


def comparison_parts(study: Study, shown: list[Measured], compared: Compared) -> list:
    """Figures 4 and 6 for each metric, and the tables over all tasks; [] if none is compared."""
    parts: list = []
    if compared.aggregates.empty:
        return parts
    if not compared.pairs.empty:
        rivals = [one for one in shown if one.raw.metric.compared]
        parts += [_comparison(study, one, compared) for one in rivals]
    parts.append(content.aggregate_table(compared.aggregates, compared.titles))
    if not compared.pairs.empty:
        parts.append(content.improvement_table(compared.pairs, compared.labels))
    return parts


def _comparison(study: Study, one: Measured, compared: Compared) -> Plate:
    shown, pairs = one.scales[0], compared.pairs
    means, pairs = compared.of(shown), pairs[pairs["metric"] == shown.metric.name]
    lines = content.verdict_lines(pairs, compared.labels)
    said = "; ".join(f"{line['text']}, {line['verdict']}" for line in lines)
    return Plate(
        name=f"comparison_{shown.metric.slug}",
        title=f"{shown.metric.label}: comparison over tasks",
        caption=f"{shown.title}. Left: mean over tasks and runs. Right: probability that a run "
        f"of a method beats one of {study.baseline}; 0.5 means no difference. Bars are 95 % "
        f"stratified bootstrap intervals ({size(means)}).{scale_note(shown)}",
        alt=f"Mean {shown.title} of each method, and {said or 'no comparison'}",
        draw=partial(figures.comparison, means, pairs, shown.title, study.methods),
    )


def size(means: pd.DataFrame) -> str:
    """How many tasks and runs stand behind aggregates, in words."""
    if means.empty:
        return "no runs"
    tasks, runs = means["tasks"].iloc[0], sorted(set(means["runs"]))
    each = f"{' to '.join(map(str, runs))} run{'' if runs == [1] else 's'} each"
    return f"{tasks} task{'s' if tasks > 1 else ''}, {each}"


def scale_note(shown: Scores) -> str:
    """What 0 and 1 mean, where scores are normalised."""
    if shown.scale == "raw":
        return ""
    best = shown.metric.best
    one = "the best mean of any method here" if best is None else f"that of {best}"
    return (
        f" Scores are normalised on each task: 0 is the mean of {shown.metric.reference}, 1 {one}. "
        f"{ANCHORS_HELD}"
    )
