"""The `report` of a study file: what is compared, by which metrics.

report:
  compare: method            # the grid key whose values are compared, the first the baseline (else
                             # `method`, or the last key)
  paired: true               # mean +- s.d., and Wilcoxon's test over runs of the same number (else
                             # where there are folds; without it intervals and the bootstrap)
  baselines: {A+: A}         # methods that are tested against another one than the first
  metrics:                   # of an evaluation's summary (else all of them)
    - {name: iou, label: IoU, reference: random, curve: attention/iou, better: higher}
    - {name: ceiling, better: neither}          # shown and not compared
    - {name: prompted, otherwise: accuracy}     # which stands in for it in runs that lack it
    - {name: episode_return, reference: vanilla, best: masked input}     # two methods as 0 and 1
  heat_maps: [accuracy]      # metrics to draw over a grid of two keys
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rl_attn.errors import UserError, choose


@dataclass(frozen=True)
class Metric:
    """One number of an evaluation's summary, as the study file declares it."""

    name: str
    label: str
    reference: str | None = None  # the reference or the method that is 0 after normalisation
    best: str | None = None  # the method that is 1 after it; None: the best mean of any
    curve: str | None = None  # column of metrics.csv; None: found by name
    better: str = "higher"  # or "lower", or "neither": shown, and not compared
    otherwise: str | None = None  # the metric of runs that lack this one

    @property
    def slug(self) -> str:
        """The name as a part of a file's: a summary's may hold a slash, test-shifted/accuracy."""
        return self.name.replace("/", "-")

    @property
    def compared(self) -> bool:
        return self.better != "neither"

    @property
    def sign(self) -> int:
        return 1 if self.better == "higher" else -1


@dataclass(frozen=True)
class ReportSection:
    """A study's `report`, checked."""

    compare: str | None = None  # None: there is no grid
    paired: bool = False
    baselines: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()  # none: all that the evaluations hold
    heat_maps: tuple[str, ...] = ()


def read_report(
    values: Any, grid: Mapping[str, Collection[str]], references: Collection[str], paired: bool
) -> ReportSection:
    """Check the `report` of a study file; UserError for what no report could be made of.

    Args:
        values: as they stand in the file.
        grid: its keys with their labels.
        references: names of its references.
        paired: whether runs are paired where the file does not say it.
    """
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise UserError(f"report must map settings to values, found {values!r}")
    for key in values:
        choose("key of report:", str(key), [f.name for f in fields(ReportSection)])
    compare = _compare(values, grid)
    baselines = values.get("baselines", {})
    if not isinstance(baselines, dict):
        raise UserError(f"report.baselines maps methods to methods, found {baselines!r}")
    for pair in baselines.items():
        for method in pair:
            choose("method in report.baselines:", str(method), grid.get(compare or "", ["all"]))
    if not isinstance(values.get("paired", paired), bool):
        raise UserError(f"report.paired is true or false, found {values['paired']!r}")
    return ReportSection(
        compare=compare,
        paired=values.get("paired", paired),
        baselines={str(method): str(own) for method, own in baselines.items()},
        metrics=_metrics(values.get("metrics"), references, grid.get(compare or "", ())),
        heat_maps=_heat_maps(values.get("heat_maps"), grid),
    )


def _compare(values: Mapping[str, Any], grid: Mapping[str, Any]) -> str | None:
    if "compare" in values:
        return choose("grid key in report.compare:", str(values["compare"]), grid)
    return "method" if "method" in grid else next(reversed(list(grid)), None)


def _metrics(
    entries: Any, references: Collection[str], methods: Collection[str]
) -> tuple[Metric, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise UserError(f"report.metrics must list metrics, found {entries!r}")
    metrics = tuple(_metric(entry, references, methods) for entry in entries)
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"report.metrics names {twice} twice: leave one of them out")
    return metrics


def _metric(entry: Any, references: Collection[str], methods: Collection[str]) -> Metric:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UserError(f"a metric of report.metrics needs a name: found {entry!r}")
    where = f"of metric {entry['name']} in report.metrics"
    for key, value in entry.items():
        choose(f"key {where}:", str(key), [f.name for f in fields(Metric)])
        if not isinstance(value, str):
            raise UserError(f"{key} {where} must be a word, found {value!r}")
    choose(f"better {where}:", entry.get("better", "higher"), ("higher", "lower", "neither"))
    if "reference" in entry:
        choose(f"reference {where}:", entry["reference"], [*references, *methods])
    if "best" in entry:
        choose(f"best {where}:", entry["best"], methods)
        if "reference" not in entry:
            raise UserError(f"best {where} is the 1 of a scale: name its 0, as reference")
        if entry["best"] == entry["reference"]:
            raise UserError(f"best {where} is its reference, too: a scale needs two ends")
    return Metric(**{"label": entry["name"].replace("_", " "), **entry})


def _heat_maps(names: Any, grid: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(names or [], list) or not all(isinstance(n, str) for n in names or []):
        raise UserError(f"report.heat_maps lists names of metrics, found {names!r}")
    if names and len(grid) != 2:
        raise UserError(
            f"report.heat_maps needs a grid of two keys, and this one has {len(grid)}: "
            f"{', '.join(grid) or 'none'}"
        )
    return tuple(names or ())
