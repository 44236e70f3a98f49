"""`rl-attn NAME ...`: every command under one name.

    rl-attn                       # what there is
    rl-attn ppo --env Basic       # the same as python -m rl_attn.ppo --env Basic
    rl-attn completion bash       # print a completion script: bash, zsh or tcsh

A command's module is imported when it is run, so that one command does not pay for another.
"""

from importlib.metadata import version
from typing import Annotated, Any, Union

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import run_command
from rl_attn.run.commands import COMMANDS, settings_of

SHELLS = ("bash", "zsh", "tcsh")


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
        Annotated[settings_of(command.load(), []), tyro.conf.subcommand(name)]
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
