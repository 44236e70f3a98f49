"""Reads a study folder: what was to be run, what was, and what is wrong with it.

What its file may say under `report`, all of it optional:

    compare: method                   the grid key whose labels are compared, the first the baseline
    metrics: [{name: iou, label: IoU, better: higher, reference: random, curve: attention/iou}]
                                      (better: neither is shown and not compared: a ceiling;
                                      otherwise: NAME stands in for it in runs that lack it: a
                                      model without a prompt answers as it always does)
    paired: true                      mean +- s.d., and Wilcoxon's test over runs of the same number
                                      (by default for folds; else intervals and the bootstrap)
    baselines: {CDBS: Base of CDBS}   methods that are tested against another one than the first

Nothing here fails on a broken run: it becomes a line in `Study.problems`, and its numbers are
missing.
"""

import re
from itertools import product
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError, choose
from rl_attn.reports.files import read_json, read_summary
from rl_attn.reports.study import Cell, Metric, Study
from rl_attn.run.yaml import load_yaml
from rl_attn.statistics import Interval
from rl_attn.studies.plan import slug
from rl_attn.studies.schema import label


def collect(path: Path) -> Study:
    """Read a study folder; UserError where it is none."""
    if not (path / "study.yaml").is_file():
        raise UserError(f"{path} is not a study: it has no study.yaml")
    declared = load_yaml(path / "study.yaml")
    if "search" in declared:
        raise UserError(f"{path} is a search: its result is best.yaml, and no grid to report on")
    grid = _grid(declared)
    settings = settings_of(declared)
    compare = _compare(settings, grid)
    problems: list[str] = []
    cells = _cells(path, declared, grid, compare, problems)
    metrics = _metrics(settings, cells)
    _stand_in(metrics, cells)
    return Study(
        path=path,
        name=path.resolve().name,
        command=str(declared.get("command", "")),
        declared=declared,
        run_name="fold" if "folds" in declared else "seed",
        methods=grid.get(compare, ["all"]),
        tasks=list(dict.fromkeys(cell.task for cell in cells)),
        metrics=metrics,
        cells=cells,
        references=_references(path, declared, cells, problems),
        problems=problems,
        paired=settings.get("paired", "folds" in declared),
        baselines=settings.get("baselines", {}),
    )


def settings_of(declared: dict[str, Any]) -> dict[str, Any]:
    """A study's `report`, checked: UserError for what no report could be made of."""
    settings = declared.get("report") or {}
    if not isinstance(settings, dict):
        raise UserError(f"report in study.yaml must map settings to values, found {settings!r}")
    grid = _grid(declared)
    methods = grid.get(_compare(settings, grid), ["all"])
    _metrics(settings, [])
    if not isinstance(settings.get("paired", False), bool):
        raise UserError(f"report.paired is true or false, found {settings['paired']!r}")
    baselines = settings.get("baselines", {})
    if not isinstance(baselines, dict):
        raise UserError(f"report.baselines maps methods to methods, found {baselines!r}")
    for pair in baselines.items():
        for method in pair:
            choose("method in report.baselines:", str(method), methods)
    return settings


# ---------------------------------------------------------------------- what was to be run


def _grid(declared: dict[str, Any]) -> dict[str, list[str]]:
    """Grid key -> its values or labels, as words."""
    grid = declared.get("grid") or {}
    if not isinstance(grid, dict):
        raise UserError(f"grid in study.yaml must map keys to values, found {grid!r}")
    for key, values in grid.items():
        if not isinstance(values, list | dict) or not values:
            raise UserError(f"grid key {key} in study.yaml must list values, found {values!r}")
    return {str(key): [label(value) for value in values] for key, values in grid.items()}


def _compare(settings: dict[str, Any], grid: dict[str, list[str]]) -> str | None:
    """The grid key whose values are compared: as declared, else `method`, else the last."""
    if "compare" in settings:
        if settings["compare"] not in grid:
            raise UserError(
                f"report.compare in study.yaml is {settings['compare']!r}, which is no grid key: "
                f"choose from {', '.join(grid)}"
            )
        return settings["compare"]
    return "method" if "method" in grid else next(reversed(grid), None)


def _metrics(settings: dict[str, Any], cells: list[Cell]) -> list[Metric]:
    """As declared, else all that the evaluations hold."""
    declared = settings.get("metrics")
    if not declared:
        names = dict.fromkeys(name for cell in cells for name in cell.summary)
        return [Metric(name, name.replace("_", " ")) for name in names]
    metrics = []
    for entry in declared:
        try:
            metric = Metric(**{"label": str(entry["name"]).replace("_", " "), **entry})
        except (TypeError, KeyError):
            raise UserError(
                f"a metric in study.yaml needs a name, and may have label, reference, curve, "
                f"better and otherwise: found {entry!r}"
            ) from None
        if metric.better not in ("higher", "lower", "neither"):
            raise UserError(
                f"metric {metric.name}: better is higher, lower or neither, not {metric.better}"
            )
        metrics.append(metric)
    return metrics


def _stand_in(metrics: list[Metric], cells: list[Cell]) -> None:
    """Give the runs without a metric the one that is declared to stand in for it."""
    for metric in metrics:
        for cell in cells:
            if metric.otherwise in cell.summary:
                cell.summary.setdefault(metric.name, cell.summary[metric.otherwise])


# ---------------------------------------------------------------------- what was run


def _cells(
    path: Path,
    declared: dict[str, Any],
    grid: dict[str, list[str]],
    compare: str | None,
    problems: list[str],
) -> list[Cell]:
    states = _states(path, problems)
    found = _found(path, states)
    expected = _runs(declared, found)
    cells = []
    for combination in product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        stem = slug(*combination) or "run"
        for run in expected:
            name = found.pop(
                (stem.lower(), run), f"{stem}-{'f' if 'folds' in declared else 's'}{run}"
            )
            cells.append(_cell(path, name, values, compare, run, states.get(name, {}), problems))
    for name in found.values():
        problems.append(f"{name} is not a cell of this study: left out")
    return cells


def _states(path: Path, problems: list[str]) -> dict[str, dict[str, Any]]:
    """state.json, of which nothing is taken for granted."""
    states = read_json(path / "state.json", problems)
    return {str(name): s for name, s in states.items() if isinstance(s, dict)}


def _found(path: Path, states: dict[str, Any]) -> dict[tuple[str, int], str]:
    """(stem, run) -> name, of all cells that state.json or a folder names."""
    folders = [p.name for p in sorted((path / "cells").glob("*")) if p.is_dir()]
    found = {}
    for name in dict.fromkeys([*states, *folders]):
        parts = re.fullmatch(r"(?:(.*)-)?(?:s|seed|f|fold)-?(\d+)", name)
        stem, run = (parts[1] or "run", int(parts[2])) if parts else (name, -1)
        found[slug(stem).lower(), run] = name
    return found


def _runs(declared: dict[str, Any], found: dict[tuple[str, int], str]) -> list[int]:
    """Seeds, or folds counted from 0 or from 1, as the cells are named."""
    try:
        if "folds" in declared:
            folds = int(declared["folds"])
            first = 1 if any(run == folds for _, run in found) else 0
            return list(range(first, first + folds))
        seeds = declared.get("seeds") or [1]
        return [int(seed) for seed in (seeds if isinstance(seeds, list) else [seeds])]
    except (TypeError, ValueError):
        raise UserError(
            f"study.yaml needs whole numbers as seeds, or a number of folds: found "
            f"{declared.get('folds', declared.get('seeds'))!r}"
        ) from None


def _cell(
    path: Path,
    name: str,
    values: dict[str, str],
    compare: str | None,
    run: int,
    state: dict[str, Any],
    problems: list[str],
) -> Cell:
    folder = path / "cells" / name
    evaluation = folder / "evaluation.json"
    known = state.get("state") or ("finished" if evaluation.is_file() else "pending")
    summary = {}
    if known == "finished":
        if not evaluation.is_file():
            problems.append(f"{name} is finished but has no evaluation.json")
        summary = read_summary(evaluation, problems)
    return Cell(
        name=name,
        path=folder,
        values=values,
        task=_task(values, compare),
        method=values.get(compare, "all"),
        run=run,
        state=str(known),
        attempts=state.get("attempts"),
        seconds=state.get("seconds"),
        message=str(state.get("message") or ""),
        summary=summary,
    )


def _task(values: dict[str, str], compare: str | None) -> str:
    return ", ".join(v for key, v in values.items() if key != compare) or "all"


def _references(
    path: Path, declared: dict[str, Any], cells: list[Cell], problems: list[str]
) -> dict[tuple[str, str], dict[str, Interval]]:
    """(reference, task) -> its summary; {} where it is missing."""
    folders = {slug(p.name).lower(): p for p in (path / "references").glob("*") if p.is_dir()}
    references: dict[tuple[str, str], dict[str, Interval]] = {}
    for entry in declared.get("references") or []:
        if not isinstance(entry, dict) or "name" not in entry:
            raise UserError(f"a reference in study.yaml needs a name: found {entry!r}")
        for cell in cells:
            known = (str(entry["name"]), cell.task)
            if known in references:
                continue
            keys = [key for key in entry.get("per") or [] if key in cell.values]
            wanted = slug(known[0], *(cell.values[key] for key in keys))
            file = folders.get(wanted.lower(), path) / "evaluation.json"
            if not file.is_file():
                problems.append(f"reference {known[0]} of {cell.task} is missing ({wanted})")
            references[known] = read_summary(file, problems)
    return references
