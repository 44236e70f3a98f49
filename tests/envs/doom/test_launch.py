"""Engines that do not start: nothing hangs, nothing crashes, and nothing is left behind."""

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from rl_attn.envs.doom import processes

ROOT = Path(__file__).resolve().parents[3]
SHARED_MEMORY = Path("/dev/shm")
ENGINE = processes._PACKAGE / "vizdoom"

# The engine is replaced by a script; `launch` is what ViZDoom starts. Any instance id that ViZDoom
# draws in this program is seen by its queue in shared memory.
PREPARE = """
    import numpy as np, sys, threading, time
    from rl_attn.envs.doom import launch as starts, processes
    from rl_attn.envs.doom.env import DoomEnv
    from rl_attn.envs.doom.lanes import Lanes

    starts.TIMEOUT = 0.6
    launch = processes.home().launcher
    launch.write_text(launch.read_text().replace(sys.argv[1], sys.argv[2]))
    lanes = Lanes("Basic", num_lanes=1, seed=1)
    frames = np.empty((1, *lanes.frame_shape), np.uint8)
    masks = np.empty((1, *lanes.mask_shape), np.uint8)

    def reset():
        try:
            lanes.reset(frames, masks)
        except RuntimeError as error:
            print(error)
"""


class Program:
    """A program whose engine is this shell script, or whose launcher is."""

    def __init__(self, folder, rest, engine="exit 3", launcher=None):
        script = folder / "engine"
        if engine is not None:
            script.write_text(f"#!/bin/sh\n{engine}\n")
            script.chmod(0o700)
        replaced = (str(ENGINE), str(script)) if launcher is None else ("exec ", launcher)
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.before = self.queues()
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PREPARE + rest), *replaced],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temp)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def queues():
        return {path.name for path in SHARED_MEMORY.glob("ViZDoom*")}

    def processes(self):
        """What still runs with our temporary folder in its arguments."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            if any(str(self.temp) in word for word in words):
                found.append(process)
        return found

    def end(self):
        """Its output; nothing of it may be left, and it may not have crashed."""
        output, errors = self.process.communicate(timeout=30)
        assert (self.process.returncode, errors) == (0, "")
        deadline = time.monotonic() + 10
        while (self.processes() or [*self.temp.iterdir()]) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.processes() == [] and [*self.temp.iterdir()] == []
        return output


@pytest.fixture
def program(tmp_path):
    started = []

    def start(*arguments, **settings):
        started.append(Program(tmp_path, *arguments, **settings))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


LAUNCH_IDS = """
    before = set(processes._mapped_instances())
    {call}
    print(*processes._mapped_instances() - before)
"""


def traces(output):
    """Shared memory of the instance ids in the last line of the output, which must be some."""
    ids = output.splitlines()[-1].split()
    assert ids
    return [name for name in Program.queues() if any(one in name for one in ids)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"engine": "exit 3"}, "ended with status 3 before", id="ends"),
        pytest.param({"engine": "kill -9 $$"}, "ended with signal 9 before", id="is killed"),
        pytest.param({"engine": None}, "cannot be run: No such file", id="is missing"),
        pytest.param({"engine": "kill -STOP $$"}, "no answer within 0.6 s", id="says nothing"),
        pytest.param(
            {"launcher": "kill -STOP $$ #"}, "no answer within 0.6 s", id="never recorded"
        ),
    ],
)
def test_a_launch_that_fails_is_an_error_and_leaves_nothing(program, settings, words):
    output = program(LAUNCH_IDS.format(call="reset()"), **settings).end()
    assert output.startswith("lane 0: the game failed to start 3 times in a row")
    assert words in output
    assert len(output.splitlines()[-1].split()) == 3
    assert traces(output) == []


def test_a_launch_that_fails_once_is_retried(program, tmp_path):
    flag, engine = shlex.quote(str(tmp_path / "flag")), shlex.quote(str(ENGINE))
    script = f'[ -e {flag} ] && exec {engine} "$@"\ntouch {flag}\nexit 3'
    playing = program(
        """
    starts.TIMEOUT = 30
    reset()
    for _ in range(100):
        lanes.step(np.zeros(1, int), frames, masks)
    print(lanes.faults, frames.any())
    lanes.close()
    print(*processes._mapped_instances())  # of the failed launch alone
        """,
        engine=script,
    )
    output = playing.end()
    assert output.splitlines()[0] == "1 True"
    assert len(output.splitlines()[-1].split()) == 1
    assert traces(output) == []


def test_lanes_closed_while_an_engine_does_not_start(program):
    rest = """
    from rl_attn.envs.doom import lane_group as module
    module.CLOSE_TIMEOUT, starts.TIMEOUT = 0.3, 60

    def quietly():  # what it printed could fall into the lines below
        try:
            lanes.reset(frames, masks)
        except RuntimeError:
            pass

    threading.Thread(target=quietly, daemon=True).start()
    while not processes._mapped_instances():
        time.sleep(0.01)
    begin = time.monotonic()
    lanes.close()
    print(time.monotonic() - begin < 5)
    print("lanes" in [thread.name for thread in threading.enumerate()])
    print(*processes._mapped_instances())
    """
    output = program(rest, engine="kill -STOP $$").end()
    assert output.splitlines()[-3:-1] == ["True", "False"]
    assert traces(output) == []


def test_ctrl_c_while_an_engine_does_not_start(program):
    rest = """
    starts.TIMEOUT = 60
    env = DoomEnv("Basic")
    try:
        print("starting", flush=True)
        env.reset(seed=1)
    except KeyboardInterrupt:
        env.close()
        print(*processes._mapped_instances())
    """
    playing = program(rest, engine="kill -STOP $$")
    assert playing.process.stdout.readline() == "starting\n"
    deadline = time.monotonic() + 20
    while not playing.queues() - playing.before and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.killpg(playing.process.pid, signal.SIGINT)
    assert traces(playing.end()) == []


def test_a_killed_program_with_a_failed_launch_leaves_nothing(program):
    rest = """
    reset()
    print(*processes._mapped_instances(), flush=True)
    time.sleep(60)
    """
    playing = program(rest, engine="exit 3")
    playing.process.stdout.readline()
    ids = playing.process.stdout.readline()
    playing.process.kill()
    playing.process.wait()
    deadline = time.monotonic() + 10
    while (playing.processes() or traces(ids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert playing.processes() == [] and traces(ids) == [] and [*playing.temp.iterdir()] == []
