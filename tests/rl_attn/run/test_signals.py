import os
import signal
import time

import pytest

from rl_attn.run import signals
from rl_attn.run.signals import StopRequest, exits, stop_requests


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the tests let pass."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_says_so(number, capfd):
    before = signal.getsignal(number)
    with stop_requests("after this batch") as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop and stop.signal == number
    assert signal.getsignal(number) == before
    assert capfd.readouterr().err == "stopping after this batch (again: at once)\n"


def test_the_same_signal_within_a_second_counts_once(clock, capfd):
    with stop_requests() as stop:
        for passed in (0.0, 0.4, 0.5):
            clock[0] += passed
            signal.raise_signal(signal.SIGINT)
    assert stop.signal == signal.SIGINT
    assert capfd.readouterr().err.count("\n") == 1


def test_the_same_signal_later_does_not_ask(clock):
    with pytest.raises(KeyboardInterrupt), stop_requests() as stop:
        signal.raise_signal(signal.SIGINT)
        clock[0] += 1.1
        assert stop
        signal.raise_signal(signal.SIGINT)


def test_the_first_signal_gives_the_status():
    stop = StopRequest()
    for number in (signal.SIGHUP, signal.SIGTERM):
        stop.ask(number)
    assert stop.signal == signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_the_parent_ignores_stays_ignored(number):
    """As `nohup` does with SIGHUP, and a shell's `&` in a script with SIGINT."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with exits(), stop_requests() as stop:
            signal.raise_signal(number)
            assert not stop
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_without_a_loop_a_signal_unwinds_the_program(number, status):
    ended = []
    with pytest.raises(SystemExit) as end, exits():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # forwarded once more: the way out is not disturbed
            ended.append("files closed")
    assert end.value.code == status and ended


def test_without_a_loop_ctrl_c_is_a_keyboard_interrupt():
    with pytest.raises(KeyboardInterrupt), exits():
        signal.raise_signal(signal.SIGINT)


def test_telling_a_closed_terminal_is_no_error(monkeypatch):
    def closed(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", closed)
    signals.tell("stopping")
