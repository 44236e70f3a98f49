"""Studies that are killed, stopped, started twice: what was done stays, and nothing runs on."""

import os
import random
import signal
import time

import pytest

from rl_attn.errors import UserError
from rl_attn.studies.record import sole_owner

SLOW = {"total_timesteps": 40, "pause": 0.03}


def test_killed_at_random_moments_it_ends_with_the_same_results(lab, wait_for):
    lab.write(arguments=SLOW)
    moments = random.Random(3)
    for _ in range(5):
        with lab.start("--workers", "2") as process:
            begun = len(lab.starts())
            wait_for(lambda begun=begun: len(lab.starts()) > begun)
            time.sleep(moments.uniform(0, 0.7))
            assert process.poll() is None, "the study was over before it could be killed"
            process.kill()
        wait_for(lambda: not lab.processes(), seconds=5)
    assert lab.run("--workers", "2") == 0
    assert max(lab.starts()) > 0, "nothing was resumed"
    whole = lab.folder / "whole"
    lab.write(arguments={**SLOW, "pause": 0})
    assert lab.run("--workers", "2", out=whole) == 0
    assert len(lab.results(whole)) == 4
    assert (whole / "results.csv").read_bytes() == (lab.out / "results.csv").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_study_leaves_checkpoints_and_goes_on_from_them(lab, wait_for, number):
    lab.write(arguments={**SLOW, "checkpoint_interval": 1000}, grid=None, seeds=[1])
    with lab.start() as process:
        wait_for((lab.out / "cells" / "s1" / "metrics.csv").exists)
        os.killpg(process.pid, number)  # as a terminal does
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "stopped; the same command continues it" in output and "Traceback" not in output
    assert not lab.processes()
    assert lab.states()["s1"]["state"] == "pending"
    assert lab.run() == 0
    first, second = lab.starts()
    assert first == 0 and 0 < second < 40
    assert lab.states()["s1"]["attempts"] == 2


def test_a_second_study_in_the_same_folder_is_refused(lab):
    lab.out.mkdir()
    mine = rf"another study works in .*process {os.getpid()} on"
    with sole_owner(lab.out), pytest.raises(UserError, match=mine):
        lab.run()
    assert not (lab.out / "study.yaml").exists() and not lab.starts()


def test_a_run_that_was_killed_before_its_configuration_starts_afresh(lab):
    lab.write(grid=None, seeds=[1])
    (lab.out / "cells" / "s1" / "checkpoints").mkdir(parents=True)
    (lab.out / "cells" / ".s1.lock").touch()  # by which a study knows its own
    assert lab.run() == 0
    assert lab.starts() == [0]
