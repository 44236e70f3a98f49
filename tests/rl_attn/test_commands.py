"""`rl-attn`: every command under one name."""

import contextlib
import importlib
import importlib.util
import os
import pty
import subprocess
import sys
from dataclasses import is_dataclass
from importlib.metadata import entry_points, version

import pytest

from rl_attn import commands
from rl_attn.errors import UserError
from rl_attn.run.commands import settings_of


def test_the_console_script_is_this_command():
    (script,) = entry_points(group="console_scripts", name="rl-attn")
    assert script.load() is commands.run


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_a_module_that_can_be_run(name):
    module = importlib.import_module(commands.COMMANDS[name].module)
    assert callable(module.main)
    assert is_dataclass(settings_of(module, []))


def test_without_a_name_it_lists_all_of_them(capsys):
    assert commands.main([]) == 0
    bare = capsys.readouterr().out
    assert commands.main(["--help"]) == 0
    assert capsys.readouterr().out == bare
    for name, command in commands.COMMANDS.items():
        assert f"  {name} " in bare and command.summary in bare


def test_it_says_its_version(capsys):
    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == f"rl-attn {version('rl-attn')}\n"


def test_a_misspelled_name_gets_a_suggestion():
    with pytest.raises(UserError, match=r"unknown command 'evalute' \(did you mean evaluate\?\)"):
        commands.main(["evalute"])


def test_flags_go_to_the_command(capsys):
    with pytest.raises(SystemExit) as end:
        commands.main(["random-policy", "--help"])
    assert not end.value.code
    out = capsys.readouterr().out
    assert "usage: rl-attn random-policy" in out and "--frame-skip" in out


def test_a_mistake_is_one_line_and_status_2():
    ended = subprocess.run(
        [sys.executable, "-m", "rl_attn", "ppo", "--camal", "-1"], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1 and "--camal" in ended.stderr


def test_a_reader_that_stops_reading_ends_it_quietly():
    """As `rl-attn --help | head -0` does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rl_attn"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_the_completion_knows_commands_and_their_flags(capsys):
    with pytest.raises(SystemExit):
        commands.main(["completion", "bash"])
    script = capsys.readouterr().out
    for name in commands.COMMANDS:
        assert name in script
    assert "--camal" in script and "--closed-loop" in script


def test_an_unknown_shell_is_refused():
    with pytest.raises(UserError, match="unknown shell 'bsh'"):
        commands.main(["completion", "bsh"])


def test_commands_are_found_without_importing_them():
    for command in commands.COMMANDS.values():
        assert importlib.util.find_spec(command.module)


def test_on_a_terminal_a_mistake_is_one_line_without_frames_and_colours():
    """What tyro draws on a terminal, 60 columns wide, is no part of it."""
    main, other = pty.openpty()
    words = [sys.executable, "-m", "rl_attn", "ppo", "--dead-maps", "sined"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60", "FORCE_COLOR": "1"}
    process = subprocess.Popen(words, stdin=other, stdout=other, stderr=other, env=environment)
    os.close(other)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(main, 4096):
            said += part
    os.close(main)
    assert process.wait() == 2
    (line,) = said.decode().splitlines()
    assert line.startswith("error: ") and "'sined'" in line and "--dead-maps" in line
    assert line.isascii() and line.isprintable()
