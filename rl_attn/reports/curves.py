"""Learning curves from metrics.csv: mean over runs with its interval, on a common grid of steps."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from rl_attn.reports.study import Metric, Study
from rl_attn.statistics import mean_interval

STEP = "global_step"

#: Names that differ between a summary and the training log.
ALIASES = {"episode_return": ("charts/episodic_return", "charts/mean_return_100")}

COLUMNS = ["metric", "task", "method", "step", "mean", "low", "high", "runs"]


def read_metrics(file: Path) -> pd.DataFrame:
    """A metrics.csv as numbers; a line that was cut off is left out.

    Raises:
        ValueError: the file holds no table with a column `global_step`.
    """
    text = file.read_text("utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]  # the writer ends each row with a line break
    table = pd.read_csv(io.StringIO(whole), on_bad_lines="skip")  # EmptyDataError: a ValueError
    if STEP not in table:
        raise ValueError(f"no column {STEP}")
    table = table.apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    return table.dropna(subset=[STEP]).sort_values(STEP, kind="stable")


def column_of(metric: Metric, columns: list[str]) -> str | None:
    """The column that logs a metric: the declared one, a known alias, or one named like it."""
    if metric.curve is not None:
        return metric.curve if metric.curve in columns else None
    wanted = (*ALIASES.get(metric.name, ()), metric.name)
    alike = [column for column in columns if column.rsplit("/", 1)[-1] == metric.name]
    return next((column for column in (*wanted, *alike) if column in columns), None)


def learning_curves(
    study: Study, metric: Metric, smoothing: float, points: int = 100
) -> tuple[pd.DataFrame, list[str]]:
    """Curves of every task and method, and what could not be read, in words.

    Each run is smoothed by a mean over the last `smoothing` of its rows, then read off at common
    steps; where a run has ended it no longer counts.
    """
    parts, notes = [], []
    for task in study.tasks:
        for method in study.methods:
            runs = []
            for cell in study.of(task, method):
                file = cell.path / "metrics.csv"
                if not file.is_file():
                    continue
                try:
                    table = read_metrics(file)
                except (ValueError, OSError) as error:
                    notes.append(f"{cell.name}/metrics.csv cannot be read: {error}")
                    continue
                column = column_of(metric, list(table.columns))
                if column is not None and table[column].notna().any():
                    runs.append(_smoothed(table[[STEP, column]].dropna(), smoothing))
            if runs:
                parts.append(_averaged(runs, points).assign(task=task, method=method))
    if not parts:
        return pd.DataFrame(columns=COLUMNS), notes
    return pd.concat(parts, ignore_index=True).assign(metric=metric.name)[COLUMNS], notes


def areas(curves: pd.DataFrame) -> pd.DataFrame:
    """task, method, area: the area under each mean curve by the trapezoidal rule, divided by its
    steps, so that it is in the metric's own unit; how soon a method learns, where ends are alike.

    >>> curve = pd.DataFrame({"step": [0, 10, 20], "mean": [0.0, 4.0, 4.0]})
    >>> areas(curve.assign(task="Basic", method="camal"))["area"].tolist()
    [3.0]
    """
    rows = []
    for (task, method), curve in curves.dropna(subset="mean").groupby(
        ["task", "method"], sort=False
    ):
        steps, means = curve["step"].to_numpy(), curve["mean"].to_numpy()
        width = steps[-1] - steps[0]
        area = np.trapezoid(means, steps) / width if width > 0 else means[-1]
        rows.append((task, method, area))
    return pd.DataFrame(rows, columns=["task", "method", "area"])


def _smoothed(table: pd.DataFrame, share: float) -> np.ndarray:
    """(rows, 2): steps and the moving average."""
    window = max(1, round(share * len(table)))
    values = table.iloc[:, 1].rolling(window, min_periods=1).mean()
    return np.stack([table[STEP].to_numpy(float), values.to_numpy(float)], axis=1)


def _averaged(runs: list[np.ndarray], points: int) -> pd.DataFrame:
    first, last = min(run[0, 0] for run in runs), max(run[-1, 0] for run in runs)
    steps = np.linspace(first, last, points) if last > first else np.array([last])
    read = np.stack(
        [np.interp(steps, *run.T, left=np.nan, right=np.nan) for run in runs]
    )  # (runs, points)
    rows = [mean_interval(column) for column in read.T]
    table = pd.DataFrame(rows, columns=["mean", "low", "high"])
    return table.assign(step=steps, runs=(~np.isnan(read)).sum(axis=0))
