"""The study file: what it may say, read into a `Study`, or refused with the place and the remedy.

extends: camal_drl                         # another study that this one changes, see extends.py
command: ppo                               # a short name (rl-attn --help) or a module
arguments: {total_timesteps: 100000}       # flags of every run; `config: NAME` is read in
grid:                                      # the product of all keys
  env: [Basic, DefendLine]                 # a flag's values
  method:                                  # or labels, each with its flags
    Vanilla: {camal: 0}
    CAMAL: {camal: 1}
seeds: [1, 2, 3]                           # flag --seed; or `folds: 10`: --fold i --folds 10
                                           # --seed i + 1
then:                                      # commands on a finished run; {run} is its folder
  - {command: rl_attn.evaluate, positional: ["{run}"], arguments: {video: false}}
references:                                # once for each value of the keys in `per`, whose flags
  - {name: random, per: [env], command: rl_attn.random_policy, arguments: {out: "{out}"}}
                                           # it gets, but for those in `omit: [FLAG, ...]`
                                           # a flag `teacher_run: "{method=CAMAL}"` is the folder
                                           # of the cell with that label, which then runs before
search:                                    # draw values instead of listing them, see search.py
  {metric: episode_return, trials: 20, space: {learning_rate: {low: 1.e-5, high: 1.e-2}}}
tune: {by: validation/accuracy, values: {CAMAL: {weight: [0.3, 1, 3]}}}   # see tune_section.py
report: {compare: method}                  # what is compared, see report_section.py
watch: [attention/iou]                     # columns of metrics.csv for the table on the screen
steps: total_timesteps                     # the setting that says at which global_step it ends
                                           # (epochs: at which value of the column charts/epochs)
pace: {method: {Vanilla: 90, CAMAL: 80}}   # such steps a second of one run, by the labels of a key
                                           # (or one number): how long it takes, before runs tell
"""

import math
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import flatten, refuse_odd_words
from rl_attn.run.commands import module_of
from rl_attn.run.configs import find_config
from rl_attn.run.yaml import load_yaml
from rl_attn.studies.extends import load_study
from rl_attn.studies.report_section import ReportSection, read_report
from rl_attn.studies.space import Search, read_search
from rl_attn.studies.tune_section import Tuning, read_tuning

Flags = dict[str, Any]

KEYS = (
    *("command", "arguments", "grid", "seeds", "folds", "then", "references", "search"),
    *("tune", "report", "watch", "steps", "pace"),
)
#: What may change between two starts of a study: nothing of it reaches a run.
FREE = ("report", "watch", "pace")
#: Flags that the study itself gives.
RESERVED = ("run_dir", "resume", "seed", "fold", "folds")
#: Flags that print and end.
_NO_RUN = ("help", "h", "version")
#: More cells than anybody runs: a slip of the pen.
_MOST_CELLS = 20_000


@dataclass(frozen=True)
class Step:
    """A command of the file besides the runs themselves."""

    command: str
    positional: tuple[str, ...] = ()
    arguments: Flags = field(default_factory=dict)


@dataclass(frozen=True)
class Reference(Step):
    """Something to compare with, that does not depend on all grid keys."""

    name: str = ""
    per: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study file, checked; `values` is what the study folder keeps of it."""

    values: dict[str, Any]
    command: str
    arguments: Flags
    grid: dict[str, dict[str, Flags]]  # key -> label -> flags
    runs: tuple[str, list[int]]  # ("seed" or "fold", its numbers)
    then: tuple[Step, ...]
    references: tuple[Reference, ...]
    search: Search | None
    report: ReportSection
    watch: tuple[str, ...]
    steps: str
    tune: Tuning | None = None
    pace: tuple[str, dict[str, float]] = ("", {})  # grid key, or "" for any run -> steps a second


def read_study(file: Path) -> Study:
    """Read and check a study file, report and all; UserError with the place of a mistake."""
    return study_of(load_study(file), file)


def study_of(values: dict[str, Any], file: Path) -> Study:
    """As `read_study`, of the values of a file; `file` is for messages."""
    for key in values:
        choose(f"key in {file}:", str(key), KEYS)
    if not isinstance(values.get("command"), str):
        raise UserError(f"{file} needs `command: MODULE`, for example `command: rl_attn.ppo`")
    command = module_of(values["command"])
    arguments = _flags(values.get("arguments"), f"arguments in {file}")
    grid, written = _grid(values.get("grid"), file)
    runs = _runs(values, file)
    _refuse_too_many(grid, runs, file)
    then = tuple(_step(entry, f"then in {file}", ("run",)) for entry in _list(values, "then"))
    references = tuple(_reference(e, grid, file) for e in _list(values, "references"))
    search = read_search(values["search"], str(file)) if "search" in values else None
    _refuse_reserved(arguments, grid, search, file)
    report = _report(values, grid, references, file)
    tune = None
    if "tune" in values:
        labels = list(grid.get(report.compare or "", {}))
        tune = read_tuning(values["tune"], report.compare, labels, str(file))
    kept = {**values, "command": command, "arguments": arguments, "grid": written}
    return Study(
        values={key: kept[key] for key in KEYS if kept.get(key)},
        command=command,
        arguments=arguments,
        grid=grid,
        runs=runs,
        then=then,
        references=references,
        search=search,
        report=report,
        watch=_watched(values, report),
        steps=_steps(values),
        tune=tune,
        pace=_pace(values.get("pace"), grid, file),
    )


def label(value: Any) -> str:
    """A flag's value as the label of a grid: true, 0.1, Basic, a+b."""
    if isinstance(value, bool):
        return str(value).lower()
    return "+".join(map(label, value)) if isinstance(value, list) else str(value)


# ---------------------------------------------------------------------- parts of the file


def _flags(values: Any, where: str) -> Flags:
    """Flags with their values; a `config` among them is read in, under the others."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{where} must map flags to values, got {values!r}")
    flags: Flags = {}
    for key, value in flatten(values).items():
        name = flag_name(key)
        if name in flags:
            raise UserError(f"{where} gives {name} twice, with dashes and underscores: {key}")
        if name in _NO_RUN:
            raise UserError(f"{key} of {where} prints something and ends: leave it out")
        _refuse_odd(value, f"{key} of {where}")
        flags[name] = value
    if "config" not in flags:
        return flags
    config = flags.pop("config")
    if not isinstance(config, str) or not config:
        raise UserError(f"config of {where} must name a file, got {config!r}")
    return {**_flags(load_yaml(find_config(config)), f"config {config} of {where}"), **flags}


def flag_name(key: str) -> str:
    """A flag as settings name it, however it is written: run-dir and --run_dir are run_dir."""
    return key.strip().lstrip("-").replace("-", "_")


def _refuse_odd(value: Any, where: str) -> None:
    """Refuse what is no value of a flag, nor a list of them."""
    if isinstance(value, dict) or value is None:
        raise UserError(f"{where} must be a value or a list of them, got {value!r}")
    if isinstance(value, list):
        refuse_odd_words(value, where)


def _grid(values: Any, file: Path) -> tuple[dict[str, dict[str, Flags]], dict[str, Any]]:
    """The grid as key -> label -> flags, and as it is written, configuration files read in."""
    if not isinstance(values or {}, dict):
        raise UserError(f"grid in {file} must map keys to values, got {values!r}")
    grid: dict[str, dict[str, Flags]] = {}
    for key, entries in (values or {}).items():
        where = f"grid key {key} in {file}"
        if not isinstance(entries, list | dict) or not entries:
            raise UserError(f"{where} must list values, or labels with their flags: {entries!r}")
        if isinstance(entries, list):
            for value in entries:
                _refuse_odd(value, where)
            flag = flag_name(str(key))
            grid[str(key)] = {label(value): {flag: value} for value in entries}
        else:
            grid[str(key)] = {
                label(name): _flags(flags, f"{name} of {where}") for name, flags in entries.items()
            }
        again = isinstance(entries, list) and any(v in entries[:i] for i, v in enumerate(entries))
        if again or len(grid[str(key)]) < len(entries):
            raise UserError(f"{where} names a value twice: {entries!r}")
    written = {
        key: grid[str(key)] if isinstance(entries, dict) else entries
        for key, entries in (values or {}).items()
    }
    return grid, written


def _runs(values: Mapping[str, Any], file: Path) -> tuple[str, list[int]]:
    if "folds" in values:
        folds = values["folds"]
        if "seeds" in values or type(folds) is not int or not 2 <= folds <= _MOST_CELLS:
            raise UserError(f"{file} needs either `seeds: [1, 2]` or `folds: K` with K > 1")
        return "fold", list(range(folds))
    seeds = values.get("seeds", [1])
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int for s in seeds):
        raise UserError(f"seeds in {file} must be a list of whole numbers, got {seeds!r}")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds in {file} names one twice: {seeds}")
    return "seed", seeds


def _refuse_too_many(grid: Mapping[str, Any], runs: tuple[str, list[int]], file: Path) -> None:
    number = math.prod([len(runs[1]), *map(len, grid.values())])
    if number > _MOST_CELLS:
        raise UserError(
            f"{file} asks for {number:,} runs: at most {_MOST_CELLS:,}; divide it into several"
        )


def _report(
    values: Mapping[str, Any],
    grid: Mapping[str, Any],
    references: Iterable[Reference],
    file: Path,
) -> ReportSection:
    names = [reference.name for reference in references]
    try:
        return read_report(values.get("report"), grid, names, "folds" in values)
    except UserError as error:
        raise UserError(f"{error} (in {file})") from None


def _steps(values: Mapping[str, Any]) -> str:
    steps = values.get("steps", "total_timesteps")
    if not isinstance(steps, str):
        raise UserError(f"steps must be the name of a setting, got {steps!r}")
    return steps


def _pace(values: Any, grid: Mapping[str, Any], file: Path) -> tuple[str, dict[str, float]]:
    """The grid key and the steps a second of each of its labels; of one number: "", {"": it}."""
    if values is None:
        return "", {}
    where = f"pace in {file}"
    key, paces = "", {"": values}
    if isinstance(values, dict):
        key, paces = next(iter(values.items())) if len(values) == 1 else ("", None)
    if not isinstance(paces, dict):
        raise UserError(f"{where} must be a number, or one grid key with its labels': {values!r}")
    if key:
        choose(f"grid key in {where}:", str(key), list(grid))
    for name, pace in paces.items():
        if key:
            choose(f"label in {where}:", label(name), list(grid[str(key)]))
        if isinstance(pace, bool) or not isinstance(pace, int | float) or not 0 < pace < math.inf:
            raise UserError(f"{where} must be steps a second above 0, got {pace!r}")
    return str(key), {label(name): float(pace) for name, pace in paces.items()}


def _step(entry: Any, where: str, placeholders: tuple[str, ...]) -> Step:
    known = ("command", "positional", "arguments")
    return Step(**_entry(entry, where, known, placeholders))


def _reference(entry: Any, grid: Mapping[str, Any], file: Path) -> Reference:
    where = f"references in {file}"
    known = ("name", "per", "omit", "command", "positional", "arguments")
    values = _entry(entry, where, known, ("out",))
    if not isinstance(values.get("name"), str | int) or not values["name"]:
        raise UserError(f"an entry of {where} needs a name: {entry!r}")
    per = [str(key) for key in _list(values, "per", "grid keys")]
    for key in per:
        choose(f"grid key in per of {where}:", key, list(grid))
    given = {flag: None for key in per for flags in grid[key].values() for flag in flags}
    omit = _list(values, "omit", "flags")
    omit = [flag_name(str(flag)) for flag in omit]
    for flag in omit:
        choose(f"flag in omit of {where}:", flag, list(given))
    lists = {"per": tuple(per), "omit": tuple(omit)}
    return Reference(**{**values, **lists, "name": str(values["name"])})


def _entry(
    entry: Any, where: str, known: tuple[str, ...], placeholders: tuple[str, ...]
) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("command"), str):
        raise UserError(f"an entry of {where} needs `command: MODULE`, got {entry!r}")
    for key in entry:
        choose(f"key of {where}:", str(key), known)
    arguments = _flags(entry.get("arguments"), where)
    positional = entry.get("positional", [])
    if not isinstance(positional, list):
        raise UserError(f"positional of {where} must be a list, got {positional!r}")
    refuse_odd_words(positional, f"positional of {where}")
    for text in _texts([*positional, *arguments.values()]):
        check_placeholders(text, where, placeholders)
    words = {"arguments": arguments, "positional": tuple(map(str, positional))}
    return {**entry, "command": module_of(entry["command"]), **words}


def check_placeholders(text: str, where: str, known: tuple[str, ...]) -> None:
    """Refuse {names} in `text` that stand for nothing."""
    try:
        found = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise UserError(f"{text!r} of {where}: {error}; write braces as {{{{ and }}}}") from None
    for name, form, conversion in found:
        choose(f"placeholder in {text!r} of {where}:", name or "", known)
        if form or conversion:
            raise UserError(f"{text!r} of {where}: write {{{name}}} without a format")


def _texts(values: Iterable[Any]) -> list[str]:
    """The strings among values and lists of values."""
    flat = [part for v in values for part in (v if isinstance(v, list) else [v])]
    return [value for value in flat if isinstance(value, str)]


def _list(values: Mapping[str, Any], key: str, of: str = "commands") -> list[Any]:
    entries = values.get(key) or []
    if not isinstance(entries, list):
        raise UserError(f"{key} must be a list of {of}, got {entries!r}")
    return entries


def _watched(values: Mapping[str, Any], report: ReportSection) -> tuple[str, ...]:
    """Columns for the screen: as the file says, else those that the report's metrics name."""
    if "watch" in values:
        refuse_odd_words(_list(values, "watch", "columns"), "watch")
        return tuple(map(str, _list(values, "watch", "columns")))
    return tuple(metric.name for metric in report.metrics)


def _refuse_reserved(
    arguments: Flags, grid: dict[str, dict[str, Flags]], search: Search | None, file: Path
) -> None:
    """Flags that the study gives itself, and flags that two grid keys would give."""
    owner: dict[str, str] = {}
    sets = {key: {f for flags in labels.values() for f in flags} for key, labels in grid.items()}
    for key, flags in [*sets.items(), ("search", set(search.space) if search else set())]:
        for flag in flags:
            if flag in owner:
                raise UserError(f"{flag} is set by both {owner[flag]} and {key} in {file}")
            owner[flag] = key
    for flag in [*arguments, *owner]:
        if flag in RESERVED:
            raise UserError(
                f"{flag} in {file} is given by the study itself: use `seeds` or `folds`, and --out"
            )
