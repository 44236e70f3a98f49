"""What supervising attention costs: time of an epoch beside the baseline's.

Validation is in it; CAMAL's Table 6, of training steps alone, is `benchmarks/attribution.py`.
"""

import math
from statistics import fmean, median

import pandas as pd

from rl_attn.reports.curves import read_metrics
from rl_attn.reports.study import Cell, Study
from rl_attn.reports.tables import Entry, Table, plain

COLUMN = "times/epoch"
COLUMNS = ["task", "method", "runs", "seconds", "overhead"]


def epoch_times(study: Study) -> pd.DataFrame:
    """Seconds of an epoch of each task and method, and by how many per cent that is more than the
    baseline's.

    Of each run the median of its epochs, which a machine that was busy for a moment leaves alone;
    of these the mean over runs.
    """
    rows = []
    for task in study.tasks:
        times = {}
        for method in study.methods:
            found = [_seconds(cell) for cell in study.of(task, method)]
            found = [seconds for seconds in found if math.isfinite(seconds)]
            times[method] = (len(found), fmean(found) if found else math.nan)
        for method, (runs, seconds) in times.items():
            more = 100 * (seconds / times[study.baseline][1] - 1)
            rows.append((task, method, runs, seconds, more))
    return pd.DataFrame(rows, columns=COLUMNS)


def overhead_table(study: Study) -> Table:
    """Seconds of an epoch, and the overhead in per cent."""
    found = epoch_times(study)
    rows = [
        [plain(r.task), plain(r.method), plain(r.seconds), _per_cent(r, study.baseline)]
        for r in found.itertuples()
    ]
    note = (
        "Training and validation, median over a run's epochs, mean over runs. Runs that shared a "
        "machine with others were slower for it: compare only what ran side by side."
    )
    header = ["task", "method", "seconds", f"overhead over {study.baseline} (%)"]
    return Table("overhead", "Time of an epoch", header, rows, found, note)


def _per_cent(row: tuple, baseline: str) -> Entry:
    if row.method == baseline or not math.isfinite(row.overhead):
        return Entry("" if row.method == baseline else "-", -math.inf)
    return Entry(f"{row.overhead:+.1f}", row.overhead)


def _seconds(cell: Cell) -> float:
    """NaN where the run has no such times; what is broken is noted where curves are read."""
    file = cell.path / "metrics.csv"
    if cell.state != "finished" or not file.is_file():
        return math.nan
    try:
        table = read_metrics(file)
    except (ValueError, OSError):
        return math.nan
    times = table[COLUMN].dropna() if COLUMN in table else []
    return median(times) if len(times) else math.nan
