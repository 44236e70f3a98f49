"""Games are forked one after the other, and start up side by side."""

import threading

import numpy as np
import pytest

from rl_attn.envs.doom import launch
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.scenarios import resolve


@pytest.fixture
def started():
    """`started(game)` is a thread that starts it."""
    threads, games = [], []

    def start(game: Game) -> threading.Thread:
        frame, mask = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
        thread = threading.Thread(target=game.start, args=(1, frame, mask))
        thread.start()
        threads.append(thread)
        games.append(game)
        return thread

    yield start
    for thread in threads:
        thread.join(60)
    for game in games:
        game.close()


def test_a_game_starts_while_another_is_still_starting(started, monkeypatch):
    slow, fast = Game(resolve("Basic")), Game(resolve("Basic"))
    waited, other = [], threading.Event()
    original = launch.Launch._init

    def init(self, doom):
        original(self, doom)
        if doom is slow._doom:
            waited.append(other.wait(30))

    monkeypatch.setattr(launch.Launch, "_init", init)
    first = started(slow)
    started(fast).join(60)
    other.set()
    first.join(60)
    assert waited == [True] and None not in (slow.pid, fast.pid)


def test_a_game_that_waits_for_others_to_be_forked_counts_as_starting(started):
    """Else whoever watches would take it for hung."""
    game = Game(resolve("Basic"))
    with launch.FORKING:
        thread = started(game)
        while not game.launching and thread.is_alive():
            pass
        assert game.launching and game.pid is None
    thread.join(60)
    assert not game.launching and game.pid is not None
