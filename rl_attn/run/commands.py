"""Every command by its short name, as `rl-attn NAME` and a study's `command: NAME` take it."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Command:
    """A module with `main(argv) -> status` and the settings that it parses."""

    module: str
    summary: str

    def load(self) -> ModuleType:
        """Import the module, which takes time: only when the command is run."""
        return importlib.import_module(self.module)


COMMANDS = {
    "ppo": Command("rl_attn.ppo", "train a PPO agent that looks at its targets"),
    "evaluate": Command("rl_attn.evaluate", "play a trained agent; measure its attention"),
    "watch": Command("rl_attn.watch", "watch a trained agent play, with its attention"),
    "demo": Command("rl_attn.demo", "two small agents play Doom on a page, with their attention"),
    "random-policy": Command("rl_attn.random_policy", "what random actions score in a game"),
    "check": Command("rl_attn.supervised.check", "what a data set holds, and what to fix"),
    "train": Command("rl_attn.supervised.train", "train a classifier that looks where masks say"),
    "explain": Command("rl_attn.explain", "what a network says of images, and where it looks"),
    "compare": Command("rl_attn.supervised.compare", "run a table of the papers and write it"),
    "masks": Command("rl_attn.supervised.masks", "make masks for a data set from words"),
    "prompt": Command("rl_attn.supervised.prompt", "steer a trained model by drawing, on a page"),
    "prepare": Command(
        "rl_attn.supervised.data.prepare.__main__", "prepare a data set that was downloaded by hand"
    ),
    "teacher": Command("rl_attn.teachers.offline", "train the small CLIP that needs no network"),
    "study": Command("rl_attn.study", "many runs of one command, here or on a cluster"),
    "report": Command("rl_attn.report", "tables, figures and a page of a study"),
    "regularizers": Command("rl_attn.regularizers", "which loss notices that attention is wrong"),
}


def module_of(name: str) -> str:
    """The module of a command that is named by its short name or by its module.

    >>> module_of("train"), module_of("supervised.train"), module_of("my.command")
    ('rl_attn.supervised.train', 'rl_attn.supervised.train', 'my.command')
    """
    if name in COMMANDS:
        return COMMANDS[name].module
    # The folder supervised/ at the top of a checkout is rl_attn/supervised/.
    return f"rl_attn.{name}" if name.startswith("supervised.") else name


def settings_of(module: ModuleType, words: Sequence[str]) -> type[Any] | None:
    """The dataclass that a command reads these words into: what its `args_type` says of them, or
    its `main.settings`; None if it has neither."""
    if hasattr(module, "args_type"):
        return module.args_type(words)
    return getattr(getattr(module, "main", None), "settings", None)
