import time

import pytest

from rl_attn.run.progress import Progress, bar, duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "00:00:00"),
        (59.9, "00:00:59"),
        (24 * 3600 - 1, "23:59:59"),
        (27.8 * 3600, "1 d 03:48:00"),
        (1e30, "11574074 d 01:46:40"),
    ],
)
def test_durations_have_days(seconds, said):
    assert duration(seconds) == said


def test_more_than_a_day_left_is_said(capsys, monkeypatch):
    progress = Progress(0, 10_000_000, lambda values: "")
    progress.started = time.monotonic() - 10
    progress.update(1000, {})
    assert "left 1 d 03:4" in capsys.readouterr().out


def test_a_slow_pace_is_no_zero(capsys):
    progress = Progress(0, 30, lambda values: "")
    progress.started = time.monotonic() - 100
    progress.update(5, {})
    assert "5/30 steps  1 in 20 s" in capsys.readouterr().out


def test_long_work_says_lines_where_there_is_no_terminal(capsys):
    with bar("playing twins", 8) as done:
        done(1)
    assert capsys.readouterr().out == ""  # short work is silent
    long = bar("playing twins", 8)
    long.started = long._last_line = time.monotonic() - 20
    with long as done:
        done(2)  # and then nothing for some seconds
        done(3)
        long._last_line -= 20
        done(0)
    assert capsys.readouterr().out == ("playing twins  2/8  left 00:01:00\nplaying twins  0/8\n")
