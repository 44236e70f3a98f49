"""What a search draws from: ranges and choices, as the study file gives them.

search:
  metric: episode_return          # of evaluation.json's summary; the mean over a trial's runs
  direction: maximize             # or minimize
  trials: 40
  space:
    learning_rate: {low: 1.e-5, high: 1.e-2, log: true}
    num_steps: {low: 64, high: 256, step: 64}      # whole numbers stay whole
    camal: {choices: [0.1, 1, 10]}
  watch: eval/episode_return      # the column to prune by (default: eval/METRIC)
  prune: true
"""

from dataclasses import dataclass
from typing import Any

from rl_attn.errors import UserError, choose


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, or choices."""

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    step: float | int | None = None
    choices: tuple[Any, ...] = ()

    @property
    def whole(self) -> bool:
        return all(isinstance(v, int) for v in (self.low, self.high, self.step) if v is not None)


@dataclass(frozen=True)
class Search:
    """A search over `space` for the best `metric`."""

    metric: str
    space: dict[str, Range]
    trials: int = 20
    direction: str = "maximize"
    watch: str = ""
    prune: bool = True


def read_search(values: Any, file: str) -> Search:
    """Check the `search` of a study file."""
    if not isinstance(values, dict):
        raise UserError(f"search in {file} must be a mapping, got {values!r}")
    for key in values:
        choose(f"key of search in {file}:", str(key), tuple(Search.__dataclass_fields__))
    if not isinstance(values.get("metric"), str) or not isinstance(values.get("space"), dict):
        raise UserError(f"search in {file} needs a `metric` and a `space` of ranges")
    trials = values.get("trials", Search.trials)
    if not isinstance(trials, int) or trials < 1:
        raise UserError(f"trials of search in {file} must be a positive number, got {trials!r}")
    direction = str(values.get("direction", Search.direction))
    choose(f"direction of search in {file}:", direction, ("maximize", "minimize"))
    space = {str(k): _range(v, f"{k} of search in {file}") for k, v in values["space"].items()}
    if not space:
        raise UserError(f"search in {file} has an empty space: name a flag with its range")
    watch = str(values.get("watch") or f"eval/{values['metric']}")
    return Search(**{**values, "space": space, "watch": watch})


def _range(value: Any, where: str) -> Range:
    if not isinstance(value, dict):
        raise UserError(f"{where} must be {{low: A, high: B}} or {{choices: [...]}}, got {value!r}")
    for key in value:
        choose(f"key of {where}:", str(key), tuple(Range.__dataclass_fields__))
    if "choices" in value:
        if len(value) > 1 or not isinstance(value["choices"], list) or not value["choices"]:
            raise UserError(f"{where}: choices must be a list, alone, got {value!r}")
        return Range(choices=tuple(value["choices"]))
    numbers = {key: _number(value.get(key), f"{key} of {where}") for key in ("low", "high")}
    step = _number(value["step"], f"step of {where}") if "step" in value else None
    log = bool(value.get("log", False))
    if numbers["low"] >= numbers["high"] or (log and numbers["low"] <= 0):
        raise UserError(f"{where} needs low < high, and low > 0 with log: got {value!r}")
    if step is not None and (log or step <= 0):
        raise UserError(f"{where}: a step must be positive and goes without log, got {value!r}")
    return Range(low=numbers["low"], high=numbers["high"], log=log, step=step)


def _number(value: Any, where: str) -> float | int:
    """YAML reads 1e-5 as text: it is meant as a number here."""
    try:
        return value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        raise UserError(f"{where} must be a number, got {value!r}") from None
