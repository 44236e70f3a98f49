import time

import pytest

from rl_attn.run.progress import Progress, duration


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
