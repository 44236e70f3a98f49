"""The shared loop: when it saves, how it ends, what it says."""

import errno
import signal
from contextlib import contextmanager

import pytest

from rl_attn.errors import NOT_FINITE, TrainingError
from rl_attn.run import loop
from rl_attn.run.loop import carry_out
from rl_attn.run.progress import Progress
from rl_attn.run.signals import StopRequest, stop_requests


class Work:
    """Ten steps; `at` is called with the number of each before it is counted."""

    def __init__(self, at=lambda step: None, interval=100.0):
        self.at, self.interval = at, interval
        self.step, self.saved, self.closed = 0, [], 0
        self.stop = StopRequest()

    def pieces(self):
        while self.step < 10:
            self.at(self.step + 1)
            self.step += 1
            yield self.step, {"loss": 0.5}

    @contextmanager
    def log(self):
        try:
            yield
        finally:
            self.closed += 1

    def run(self, **how):
        progress = Progress(self.step, 10, lambda values: f"loss {values['loss']}")
        how = {"interval": self.interval, "again": "continue with --resume x", **how}
        save = lambda: self.saved.append(self.step)  # noqa: E731
        status = carry_out(self.pieces(), self.stop, progress, save, log=self.log(), **how)
        assert self.closed == 1
        return status


def test_it_saves_at_intervals_and_at_the_end(capsys):
    work = Work(interval=4)
    assert work.run() == 0
    assert work.saved == [4, 8, 10]
    assert "10/10 steps" in capsys.readouterr().out


def test_a_clock_of_its_own_says_when_to_save():
    work = Work(interval=4)
    assert work.run(clock=lambda step: 2.0 * step) == 0
    assert work.saved == [2, 4, 6, 8, 10]


def test_a_signal_ends_it_with_a_checkpoint_and_it_goes_on(capsys):
    work = Work(at=lambda step: step == 3 and signal.raise_signal(signal.SIGTERM))
    with stop_requests() as work.stop:
        assert work.run() == 128 + signal.SIGTERM
    assert work.saved == [3]
    assert capsys.readouterr().out.endswith("stopped at step 3; continue with --resume x\n")
    again = Work()
    again.step = work.saved[-1]
    assert again.run() == 0 and again.saved == [10]


def test_asked_before_the_first_piece_nothing_is_done():
    work = Work()
    work.stop.ask(signal.SIGINT)
    assert work.run() == 130 and work.step == 0 and not work.saved


def test_any_process_of_the_run_stops_all():
    work = Work()
    assert work.run(agree=lambda asked: work.step == 2) == 128 + signal.SIGTERM
    assert work.saved == [2]


def test_numbers_that_are_not_finite_end_it_with_one_line(capsys):
    def at(step):
        if step == 3:
            raise TrainingError("loss became nan")

    work = Work(at, interval=2)
    assert work.run() == NOT_FINITE
    assert work.saved == [2] and capsys.readouterr().err == "error: loss became nan\n"


def test_a_full_disk_is_one_line_that_says_how_to_go_on(capfd):
    def at(step):
        if step == 3:
            raise OSError(errno.ENOSPC, "No space left on device", "runs/x/metrics.csv")

    assert Work(at).run() == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "no space left for runs/x/metrics.csv" in said
    assert said.endswith("then continue with --resume x\n")


def test_another_error_of_the_system_is_not_hidden():
    def at(step):
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        Work(at).run()


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_reader_that_goes_away_ends_it_with_a_checkpoint(monkeypatch, number):
    silenced = []
    monkeypatch.setattr(loop, "silence", lambda: silenced.append(True))

    def closed(*_):
        raise OSError(number, "gone")

    work = Work()
    monkeypatch.setattr(Progress, "update", closed)
    assert work.run() == 128 + signal.SIGPIPE
    assert len(silenced) == 1 and work.saved == [1]
