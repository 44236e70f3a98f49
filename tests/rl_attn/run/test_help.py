from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
import tyro

from rl_attn.run.commands import COMMANDS, settings_of
from rl_attn.run.help import OneOf, help_text
from rl_attn.run.settings import PathText


@dataclass
class Section:
    """What a teacher is."""

    model: str = "large"
    """which one"""


@dataclass
class Base:
    """The base; others inherit it."""

    rate: float = 0.5
    """how fast,
    over two lines"""
    rgb: bool = False
    """in colour"""


@dataclass
class Args(Base):
    """Do something. And more."""

    run: Annotated[PathText, tyro.conf.Positional] = "runs"
    """a folder"""
    kind: Literal["a", "b"] = "a"
    """which kind"""
    shell: Annotated[str, OneOf("rl_attn.commands:SHELLS")] = "zsh"
    """which shell"""
    out: PathText | None = None
    """where to"""
    words: Annotated[tuple[str, ...], tyro.conf.arg(name="word")] = ()
    """what to say"""
    teacher: Section = field(default_factory=Section)


def test_the_page_is_grouped_by_class_and_says_choices_and_defaults():
    assert help_text(Args, "rl-attn do", columns=80).splitlines() == PAGE.splitlines()


PAGE = """\
usage: rl-attn do RUN [FLAGS]

Do something. And more.

The base:
  --rate FLOAT            how fast, over two lines (default: 0.5)
  --[no-]rgb              in colour (default: off)

Flags:
  RUN                     a folder (default: runs)
  --kind {a,b}            which kind (default: a)
  --shell {bash,zsh,tcsh}
                          which shell (default: zsh)
  --out PATH              where to
  --word [TEXT ...]       what to say

What a teacher is:
  --teacher.model TEXT    which one (default: large)"""


@pytest.mark.parametrize("command", ["ppo", "train", "evaluate"])
def test_no_line_is_wider_than_the_terminal_and_every_flag_has_words(command):
    kind = settings_of(COMMANDS[command].load(), [])
    for columns in (60, 80):
        lines = help_text(kind, f"rl-attn {command}", columns).splitlines()
        assert max(map(len, lines)) <= columns
    alone = [i for i, line in enumerate(lines) if line.startswith("  --") and len(line) < 26]
    assert all(lines[i + 1].startswith(" " * 26) for i in alone)
