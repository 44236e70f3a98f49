"""`rl-attn NAME ...`: every command under one name.

    rl-attn                       # what there is
    rl-attn ppo --env Basic       # the same as python -m rl_attn.ppo --env Basic
    rl-attn completion bash       # print a completion script: bash, zsh or tcsh

A command's module is imported when it is run, so that one command does not pay for another.
"""

import importlib
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Annotated, Any, Union

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import run_command

SHELLS = ("bash", "zsh", "tcsh")


@dataclass(frozen=True)
class Command:
    """A module with `main(argv) -> status` and the dataclass `Args` that it parses."""

    module: str
    summary: str

    def load(self) -> ModuleType:
        return importlib.import_module(self.module)


COMMANDS = {
    "ppo": Command("rl_attn.ppo", "train a PPO agent that looks at its targets"),
    "evaluate": Command("rl_attn.evaluate", "play a trained agent; measure its attention"),
    "random-policy": Command("rl_attn.random_policy", "what random actions score in a game"),
    "train": Command("rl_attn.supervised.train", "train a classifier that looks where masks say"),
    "compare": Command("rl_attn.supervised.compare", "run a table of the papers and write it"),
    "masks": Command("rl_attn.supervised.masks", "make masks for a data set from words"),
    "prompt": Command("rl_attn.supervised.prompt", "steer a trained model by drawing, on a page"),
    "data": Command("rl_attn.supervised.data.__main__", "look at a data set before training"),
    "prepare": Command(
        "rl_attn.supervised.data.prepare.__main__", "prepare a data set that was downloaded by hand"
    ),
    "teacher": Command("rl_attn.teachers.offline", "train the small CLIP that needs no network"),
    "study": Command("rl_attn.study", "many runs of one command, here or on a cluster"),
    "report": Command("rl_attn.report", "tables, figures and a page of a study"),
    "regularizers": Command("rl_attn.regularizers", "which loss notices that attention is wrong"),
}


def listing() -> str:
    """The help text: a line for each command."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: rl-attn COMMAND [FLAGS]",
            "",
            *lines,
            "",
            "rl-attn COMMAND --help lists a command's flags; rl-attn --version says the version;",
            f"rl-attn completion {{{','.join(SHELLS)}}} prints a script that completes all of them",
        ]
    )


def completion(argv: list[str]) -> None:
    """Print the completion script of all commands for one shell, and end."""
    if len(argv) != 1:
        raise UserError(f"rl-attn completion takes a shell: {', '.join(SHELLS)}")
    import tyro

    kinds = [
        Annotated[command.load().Args, tyro.conf.subcommand(name)]
        for name, command in COMMANDS.items()
    ]
    shell = choose("shell", argv[0], SHELLS)
    whole: Any = Union[tuple(kinds)]  # noqa: UP007 (of a list made here)
    tyro.cli(whole, prog="rl-attn", args=["--tyro-print-completion", shell])


def main(argv: list[str]) -> int:
    match argv:
        case [] | ["-h" | "--help", *_]:
            print(listing())
        case ["--version", *_]:
            print(f"rl-attn {version('rl-attn')}")
        case ["completion", *shell]:
            completion(shell)
        case [name, *flags]:
            command = COMMANDS[choose("command", name, [*COMMANDS, "completion"])]
            return command.load().main(flags)
    return 0


def run() -> None:
    """The console script."""
    run_command(main)


if __name__ == "__main__":
    run()
