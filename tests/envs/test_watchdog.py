"""The watchdog on a game that takes its time, without a game."""

import gc
import threading
import time

import pytest

from rl_attn.envs.watchdog import Watchdog


class SlowGame:
    """Each call ends when it is killed, or by itself."""

    def __init__(self):
        self.launching = False
        self.killed = threading.Event()

    def call(self, seconds):
        return self.killed.wait(seconds)

    def kill(self):
        self.killed.set()


def watchdogs():
    return [thread for thread in threading.enumerate() if thread.name == "watchdog"]


@pytest.fixture
def game():
    yield SlowGame()
    assert not watchdogs()


def test_a_call_that_never_ends_is_killed(game):
    watchdog = Watchdog(game, hang_timeout=0.2)
    with watchdog:
        assert game.call(60)
    watchdog.close()


def test_many_calls_that_end_are_not(game):
    """Nor the time between them."""
    watchdog = Watchdog(game, hang_timeout=1.0)
    for _ in range(30):
        with watchdog:
            game.call(0.05)
    time.sleep(1.5)
    assert not game.killed.is_set()
    watchdog.close()


def test_a_launch_is_spared(game):
    """It has a limit of its own."""
    watchdog = Watchdog(game, hang_timeout=0.1)
    game.launching = True
    with watchdog:
        assert not game.call(1.0)
    watchdog.close()


def test_after_closing_the_next_call_is_watched_again(game):
    watchdog = Watchdog(game, hang_timeout=0.2)
    with watchdog:
        pass
    watchdog.close()
    assert not watchdogs()
    with watchdog:
        assert game.call(60)
    watchdog.close()
    watchdog.close()


def test_a_game_that_is_forgotten_is_not_kept():
    watchdog = Watchdog(SlowGame(), hang_timeout=0.1)
    with watchdog:
        (thread,) = watchdogs()
    del watchdog
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
