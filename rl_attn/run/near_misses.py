"""What people type who come from other libraries: their names of flags, and 1e6 for an integer."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from rl_attn.run.help import flags_of
from rl_attn.run.settings import alternatives, fields_of

#: Flags of CleanRL, SB3, timm and others -> ours, the first that the command has.
THEIRS: dict[str, tuple[str, ...]] = {
    "env-id": ("env",),
    "gym-id": ("env",),
    "environment": ("env",),
    "algo": ("method",),
    "lr": ("learning-rate",),
    "cuda": ("device",),
    "no-cuda": ("device",),
    "gpu": ("device",),
    "n-envs": ("num-envs",),
    "n-steps": ("num-steps",),
    "n-epochs": ("update-epochs", "epochs"),
    "n-timesteps": ("total-timesteps",),
    "timesteps": ("total-timesteps",),
    "steps": ("total-timesteps", "epochs"),
    "max-steps": ("total-timesteps", "epochs"),
    "clip-range": ("clip-coef",),
    "entropy-coef": ("ent-coef",),
    "lambda": ("camal", "gae-lambda"),
    "policy": ("network", "policy"),
    "arch": ("network", "backbone"),
    "model": ("backbone", "network", "run"),
    "layer": ("tap",),
    "target-layer": ("tap",),
    "dataset": ("data",),
    "data-dir": ("data-root",),
    "data-path": ("data-root",),
    "img-size": ("size", "frame-size"),
    "image-size": ("size", "frame-size"),
    "bs": ("batch-size",),
    "exp-name": ("run-dir", "out"),
    "log-dir": ("run-dir", "out"),
    "save-dir": ("run-dir", "out"),
    "output": ("out", "run-dir"),
    "output-dir": ("out", "run-dir"),
    "load": ("resume",),
    "wandb": ("track",),
    "capture-video": ("video",),
    "n-eval-episodes": ("episodes", "eval-episodes"),
    "num-episodes": ("episodes", "eval-episodes"),
    "jobs": ("workers",),
    "num-workers": ("workers",),
}


def unknown_flag(argv: Sequence[str], kind: type) -> str | None:
    """That the first unknown flag among the words is one, and what was meant; None if all are
    known.

    >>> from rl_attn.rl.settings import AgentSettings
    >>> unknown_flag(["--env-id", "Basic"], AgentSettings)
    'unknown flag --env-id: did you mean --env?'
    """
    known = {name.removeprefix("--") for flag in flags_of(kind) for name in flag.names}
    for word in argv:
        name = word[2:].partition("=")[0].replace("_", "-")
        if not word.startswith("--") or name in known:
            continue
        ours = [one for one in THEIRS.get(name, ()) if one in known]
        ours = ours or get_close_matches(name, known, n=1, cutoff=0.7)
        return f"unknown flag --{name}" + (f": did you mean --{ours[0]}?" if ours else "")
    return None


def whole_numbers(argv: Sequence[str], kind: type) -> list[str]:
    """The words, in which whole numbers such as 1e6 and 2.0 are integers where flags take those.

    >>> from rl_attn.rl.settings import AgentSettings
    >>> whole_numbers(["--total-timesteps", "1e6", "--learning-rate=1e6"], AgentSettings)
    ['--total-timesteps', '1000000', '--learning-rate=1e6']
    """
    integers = {name.replace("_", "-") for name, hint in fields_of(kind) if _whole(hint)}
    found, flag = [], ""
    for word in argv:
        head, equals, value = word.partition("=")
        if word.startswith("--"):
            flag = head[2:].replace("_", "-")
        else:
            head, value = "", word
        if flag in integers and (equals or not head):
            word = f"{head}{equals if head else ''}{_integer(value)}"
        found.append(word)
    return found


def _whole(hint: object) -> bool:
    kinds = alternatives(hint)
    return int in kinds and float not in kinds


def _integer(text: str) -> str:
    if re.fullmatch(r"[+-]?\d+(\.\d*)?([eE]\+?\d{1,2})?", text) and not text.isdecimal():
        number = float(text)
        if number.is_integer() and abs(number) < 2**53:
            return str(int(number))
    return text
