"""The throughput benchmark, run as its user runs it, with the least work that it accepts."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import psutil
import pytest

from rl_attn.errors import UserError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "rl_throughput.py"
TINY = ("--num-envs", "1", "--num-steps", "8", "--steps", "20", "--updates", "1", "--rounds", "1")
CONTENDERS = {
    "stepping": ["our Lanes", "gymnasium AsyncVectorEnv", "SB3 SubprocVecEnv"],
    "training": ["our PPO", "SB3 PPO", "CleanRL's loop, float32"],
    "camal": ["our PPO, Vanilla", "our PPO, CAMAL"],
}


def start(*flags: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *TINY, "--threads", "1", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory, benchmark):
    """(the printed text, the JSON report) of a run of everything."""
    path = tmp_path_factory.mktemp("benchmark") / "speeds.json"
    printed = io.StringIO()
    with redirect_stdout(printed):
        benchmark("rl_throughput").main([*TINY, "--threads", "1", "--json", str(path)])
    return printed.getvalue(), json.loads(path.read_text())


def test_the_table_has_every_contender_and_the_machine(report):
    printed, _ = report
    for names in CONTENDERS.values():
        assert [name for name in names if f"│   {name} " not in printed] == []
    assert "torch" in printed.splitlines()[-1] and "1 threads" in printed.splitlines()[-1]


def test_every_contender_has_speed_ratio_and_memory(report):
    _, numbers = report
    for section, names in CONTENDERS.items():
        rows = numbers["sections"][section]["contenders"]
        assert [row["contender"] for row in rows] == names
        assert rows[0]["relative_time"] == 1.0
        for row in rows:
            assert row["slowest"] <= row["steps_per_second"] <= row["fastest"]
            assert row["slowest"] > 0 and row["relative_time"] > 0
            assert row["start_cpu_seconds"] > 0
            assert sys.platform != "linux" or row["peak_memory_mib"] > 20


def test_contenders_do_the_same_work(report):
    _, numbers = report
    for section in CONTENDERS:
        rows = numbers["sections"][section]["contenders"]
        assert len({row["rounds"]["work"][0] for row in rows}) == 1
    hidden = 64 * 11 * 16 * 512 + 512  # the layer that has nearly all of the parameters
    assert hidden < rows[0]["rounds"]["work"][0] < 1.05 * hidden


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_when_it_is_stopped(number):
    process = start("--only", "stepping", "--steps", "1000000")
    started = wait_for_games(process.pid, count=2)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    _, alive = psutil.wait_procs(started, timeout=30)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def wait_for_games(pid: int, count: int) -> list[psutil.Process]:
    """All descendants of a process, once `count` games are among them."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = psutil.Process(pid).children(recursive=True)
        if sum(name(each) == "vizdoom" for each in found) >= count:
            return found
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"no {count} games within two minutes")


def name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--env", "Chess"), "Chess"),
        (("--rounds", "0"), "--rounds must be at least 1, got 0"),
        (("--num-envs", "3", "--num-steps", "5"), "3 x --num-steps 5"),
    ],
)
def test_bad_flags_are_refused(flags, complaint, benchmark):
    with pytest.raises(UserError, match=complaint):
        benchmark("rl_throughput").main([*TINY, *flags])
