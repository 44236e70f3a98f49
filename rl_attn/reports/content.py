"""Which tables a report has, and what stands in their cells."""

from collections.abc import Callable, Sequence

import pandas as pd

from rl_attn.reports.analysis import ALL_TASKS
from rl_attn.reports.figures import AGGREGATES
from rl_attn.reports.scores import ANCHORS_HELD, Scores
from rl_attn.reports.study import Study
from rl_attn.reports.tables import Entry, Table, interval, plain, plus_minus


def task_table(scores: Scores, means: pd.DataFrame, run_name: str) -> Table:
    """Mean [interval] of each method on each task, the reference beside."""
    known = means.set_index(["task", "method"])
    extra = {}
    if scores.references and scores.scale == "raw":
        reference = scores.metric.reference
        extra[str(reference)] = lambda task: plain(scores.references.get(task, float("nan")))
    return Table(
        name=f"tasks_{scores.metric.slug}" + ("_normalised" if scores.scale != "raw" else ""),
        title=f"{scores.title} of each task",
        **_crossed(
            scores, lambda task, m: interval(*known.loc[(task, m), ["mean", "low", "high"]]), extra
        ),
        data=means,
        note=f"Mean over {run_name}s and its 95 % interval, 1.96 standard errors"
        f" ({_counts(means, run_name)})." + (f" {ANCHORS_HELD}" if scores.scale != "raw" else ""),
    )


def answer_table(shown: Sequence[tuple[Scores, pd.DataFrame]], run_name: str) -> Table:
    """What a reader looks for first: every metric of every method on every task, the best in bold.

    Args:
        shown: raw scores of a metric, and their means by task and method.
    """
    known = [(raw, means.set_index(["task", "method"])) for raw, means in shown]
    rows = []
    for task in shown[0][0].tasks:
        for method in shown[0][0].methods:
            cells = [_answer(raw, means, task, method) for raw, means in known]
            if any(cell.text != "-" for cell in cells):
                rows.append([plain(task), plain(method), *cells])
    header = ["task", "method", *(raw.metric.label for raw, _ in shown)]
    data = pd.concat([means.assign(metric=raw.metric.name) for raw, means in shown])
    note = (
        f"Mean over {run_name}s and its 95 % interval, 1.96 standard errors; raw scales. Bold: the "
        "best mean of a task, which need not be better than the others: see the tests below."
    )
    return Table("answer", "What came out", header, rows, data, note)


def _answer(raw: Scores, means: pd.DataFrame, task: str, method: str) -> Entry:
    if (task, method) not in means.index:
        return Entry("-")
    of_task = means.loc[[task]]["mean"] if task in means.index.get_level_values(0) else None
    best = of_task.max() if raw.metric.better == "higher" else of_task.min()
    mean, low, high = means.loc[(task, method), ["mean", "low", "high"]]
    several = len(of_task) > 1
    return interval(mean, low, high, "bold" if several and mean == best else "")


def fold_table(
    scores: Scores, means: pd.DataFrame, tests: pd.DataFrame, run_name: str = "fold"
) -> Table:
    """Mean ± s.d. over folds or seeds, marked where a method is better than its baseline (Table 3).

    What stands in a cell says nothing about p: the CSV holds it, and the rank sums.
    """
    known = means.set_index(["task", "method"])
    marks = tests.set_index(["task", "method"])["mark"].to_dict()

    def cell(task: str, method: str) -> Entry:
        return plus_minus(
            *known.loc[(task, method), ["mean", "std"]], marks.get((task, method), "")
        )

    keys = ["metric", "task", "method"]
    note = f"Mean ± standard deviation ({_counts(means, run_name)})."
    if not tests.empty:
        note += (
            f" Bold: better than {scores.methods[0]}{_exceptions(scores)}, one-tailed Wilcoxon "
            f"signed-rank test over {run_name}s, p < 0.05; underlined: better, but not "
            "significantly."
        )
    return Table(
        name=f"tasks_{scores.metric.slug}",
        title=f"{scores.title} of each task",
        **_crossed(scores, cell, {}),
        data=means.drop(columns=["low", "high"]).merge(tests, on=keys, how="left"),
        note=note,
    )


def test_table(scores: Scores, tests: pd.DataFrame, run_name: str) -> Table:
    """The p-values of each method: Wilcoxon's, as in the paper, and of folds the corrected one."""
    header = ["comparison", "task", f"{run_name}s", "Wilcoxon's p"]
    rows = [
        [
            *(plain(f"{row.method} > {row.baseline}"), plain(row.task)),
            *(plain(row.folds), plain(row.p_value), plain(row.corrected_p)),
        ]
        for row in tests.itertuples()
    ]
    note = "One-tailed, not corrected for the number of comparisons."
    if tests["corrected_p"].isna().all():
        rows = [row[:-1] for row in rows]
    else:
        header.append("corrected p")
        note += (
            " Wilcoxon's signed-rank test, which the paper takes, holds folds for independent; the "
            "corrected resampled t-test (Nadeau and Bengio 2003) allows for their common data."
        )
    data = tests.drop(columns=["mark"])
    return Table(f"tests_{scores.metric.slug}", f"{scores.title}: tests", header, rows, data, note)


def _exceptions(scores: Scores) -> str:
    pairs = [f"{method} than {own}" for method, own in scores.baselines.items()]
    return f" ({', '.join(pairs)})" if pairs else ""


def _crossed(
    scores: Scores,
    cell: Callable[[str, str], Entry],
    extra: dict[str, Callable[[str], Entry]],
) -> dict[str, object]:
    """Header and rows of tasks x methods, the longer side down the page."""
    tasks, methods = scores.tasks, scores.methods
    if len(methods) <= max(4, len(tasks)):
        header = ["task", *extra, *methods]
        rows = [
            [plain(t), *(make(t) for make in extra.values()), *(cell(t, m) for m in methods)]
            for t in tasks
        ]
        return {"header": header, "rows": rows}
    rows = [[plain(name), *map(make, tasks)] for name, make in extra.items()]
    rows += [[plain(m), *(cell(t, m) for t in tasks)] for m in methods]
    return {"header": ["method", *tasks], "rows": rows}


def area_table(scores: Scores, areas: pd.DataFrame) -> Table:
    """How much of it a method had over the whole of training; see `curves.areas`."""
    known = areas.set_index(["task", "method"])["area"]
    return Table(
        name=f"areas_{scores.metric.slug}",
        title=f"{scores.metric.label}: area under the learning curve",
        **_crossed(scores, lambda task, m: plain(known.get((task, m), float("nan"))), {}),
        data=areas,
        note="Of the mean curve, divided by its steps: the mean over training, raw.",
    )


def aggregate_table(found: pd.DataFrame, titles: dict[tuple[str, str], str]) -> Table:
    """Aggregates over tasks and runs with their bootstrap intervals.

    Args:
        titles: (metric, scale) -> its name.
    """
    rows = []
    for (metric, scale, method), group in found.groupby(["metric", "scale", "method"], sort=False):
        values = group.set_index("aggregate")[["value", "low", "high"]]
        size = f"{group['tasks'].iloc[0]} x {group['runs'].iloc[0]}"
        cells = [
            interval(*values.loc[name]) if name in values.index else Entry("")
            for name in AGGREGATES
        ]
        rows.append([plain(titles[metric, scale]), plain(method), plain(size), *cells])
    header = ["score", "method", "tasks x runs", "mean", "median", "IQM", "optimality gap"]
    note = (
        "Stratified bootstrap over tasks and runs: the interval in brackets is that of the "
        "percentiles. Median: of the tasks' means. IQM: mean of the middle half of all runs. "
        "Optimality gap: by how much runs miss a score of 1; lower is better."
    )
    if (found["tasks"] * found["runs"]).min() < 4:
        note += " Of fewer than 4 runs in all the IQM is their mean: a quarter of them is no run."
    if "normalised" in set(found["scale"]):
        note += f" {ANCHORS_HELD}"
    return Table("aggregates", "Aggregates over tasks", header, rows, found, note)


def improvement_table(found: pd.DataFrame, labels: dict[str, str]) -> Table:
    """Probability of improvement over all tasks, and on each."""
    rows = []
    for row in found.itertuples():
        overall = row.task == ALL_TASKS
        probability = interval(row.probability, row.low, row.high)
        rows.append(
            [
                plain(labels[row.metric]),
                plain(f"{row.method} > {row.baseline}"),
                plain(row.task),
                plain(f"{row.runs} : {row.baseline_runs}"),
                Entry(probability.text, probability.key, "bold" if row.verdict == "better" else ""),
                plain(row.verdict if overall else ""),
            ]
        )
    header = ["score", "comparison", "task", "runs", "probability", "verdict"]
    note = (
        "P(a run of the method beats a run of the baseline), ties counting half, averaged over "
        "tasks (CAMAL, Eq. 6), with its stratified bootstrap interval. Better: above 0.5 and 0.5 "
        "not in the interval (Neyman-Pearson criterion; in bold); worse: the mirror image."
    )
    return Table("improvement", "Probability of improvement", header, rows, found, note)


def runs_table(study: Study) -> Table:
    """Every cell: its state, how long it took, and what its evaluation says."""
    names = [metric.name for metric in study.metrics]
    header = ["cell", "task", "method", study.run_name, "state", "attempts", "hours"]
    header += [metric.label for metric in study.metrics]
    rows, data = [], []
    for cell in study.cells:
        hours = cell.seconds / 3600 if isinstance(cell.seconds, int | float) else float("nan")
        values = [cell.summary[n].mean if n in cell.summary else float("nan") for n in names]
        attempts = "" if cell.attempts is None else cell.attempts
        known = [cell.name, cell.task, cell.method, cell.run, cell.state, attempts]
        rows.append([*map(plain, known), plain(hours), *map(plain, values)])
        data.append([*known, cell.seconds, cell.message, *values])
    columns = ["cell", "task", "method", study.run_name, "state", "attempts", "seconds", "message"]
    frame = pd.DataFrame(data, columns=[*columns, *names])
    return Table("runs", "Every run", header, rows, frame)


def tuning_table(study: Study) -> Table:
    """What each method's flag was chosen from, and by what."""
    by = study.declared["tune"]["by"]
    rows = [
        [
            *(plain(one.label), plain(one.flag), plain(str(one.value))),
            Entry(plain(one.score).text, one.score, "bold" if one.best else ""),
        ]
        for one in study.tuned
    ]
    note = (
        f"Bold: the best by {by}, of equals the first, which the method has in all runs. The runs "
        "that were tuned by are not among those that are compared."
    )
    data = pd.DataFrame(study.tuned, columns=["method", "flag", "value", "score", "best"])
    return Table("tuned", "What was tuned", ["method", "flag", "value", by], rows, data, note)


def settings_table(settings: dict[str, dict[str, str]], name: str, title: str, note: str) -> Table:
    """Settings that all runs share, and those that differ.

    Args:
        settings: cell -> setting -> value.
    """
    keys = dict.fromkeys(key for values in settings.values() for key in values)
    rows, data = [], []
    for key in keys:
        found = dict.fromkeys(values.get(key, "-") for values in settings.values())
        words = ", ".join(found)
        rows.append([plain(key), plain(words), plain("yes" if len(found) > 1 else "")])
        data.append((key, words, len(found)))
    frame = pd.DataFrame(data, columns=["setting", "values", "different"])
    return Table(name, title, ["setting", "value", "differs"], rows, frame, note)


def _counts(means: pd.DataFrame, run_name: str) -> str:
    least, most = means["runs"].min(), means["runs"].max()
    counts = f"{least}" if least == most else f"{least} to {most}"
    return f"{counts} {run_name}{'' if counts == '1' else 's'} each"


def verdict_lines(found: pd.DataFrame, labels: dict[str, str]) -> list[dict[str, str]]:
    """What the comparison over all tasks says, in words."""
    lines = []
    for row in found[found["task"] == ALL_TASKS].itertuples():
        shown = interval(row.probability, row.low, row.high).text
        plural = "s" if row.baseline_runs > 1 else ""
        lines.append(
            {
                "verdict": row.verdict,
                "metric": labels[row.metric],
                "method": row.method,
                "text": f"P({row.method} > {row.baseline}) = {shown}",
                "runs": f"{row.tasks} task{'s' if row.tasks > 1 else ''}, "
                f"{row.runs} : {row.baseline_runs} run{plural} on each",
            }
        )
    return lines
