"""Games that die, hang or are closed under the lanes that play them."""

import threading
import time

import numpy as np
import psutil
import pytest
from player import Player, record

from rl_attn.envs.doom import lane as lane_module
from rl_attn.envs.doom import lane_group
from rl_attn.envs.doom.game import GameFault
from rl_attn.envs.protocol import Episode


def disturbed(disturb, **settings):
    """Play with a disturbance of lane 1 after 20 steps, and without; returns both histories."""
    histories = []
    for disturbance in (None, disturb):
        with Player("DefendCenter", num_lanes=3, seed=6, **settings) as player:
            player.reset()
            history = record(player, 20)
            if disturbance is not None:
                seed, last_frame = player.lanes._lanes[1].seed, player.frames[1].tobytes()
                disturbance(psutil.Process(player.pid(1)))
            history += record(player, 25)
            histories.append(history)
    return *histories, player.lanes, seed, last_frame


@pytest.mark.parametrize("disturb", [psutil.Process.kill, psutil.Process.suspend])
def test_a_game_that_dies_or_is_stopped_costs_its_own_episode_only(disturb):
    """And is not waited for: the time that a game may hang is longer than a test may take."""
    expected, history, lanes, seed, last_frame = disturbed(disturb, hang_timeout=3600.0)
    assert lanes.faults == 1
    for step, calm in zip(history, expected, strict=True):
        for lane in (0, 2):
            for values, calm_values in zip(step[:4], calm[:4], strict=True):
                assert values[lane] == calm_values[lane]
    _, rewards, terminated, truncated, final_frames, final_masks, episodes = history[20]
    assert (rewards[1], terminated[1], truncated[1]) == (0.0, False, True)
    assert final_frames[1] == last_frame and 1 in final_masks
    (episode,) = [episode for episode in episodes if episode.lane == 1]
    returned = sum(step[1][1] for step in expected[:20])
    assert episode == Episode(1, seed, returned, 21, fault=True, truncated=True)
    assert history[20][0][1] != history[19][0][1]  # the next episode's first frame


@pytest.mark.parametrize(("stuck_in", "num_threads"), [("step", 1), ("start", 3)])
def test_a_thread_that_waits_for_a_dead_game_for_ever_is_replaced(
    stuck_in, num_threads, monkeypatch
):
    """As ViZDoom's call does whose engine was killed amid its answer."""
    monkeypatch.setattr(lane_group, "KILL_GRACE", 1.0)
    never = threading.Event()

    def disturb(game):
        stuck, original = player.lanes._lanes[1].game, None

        def wait_for_ever(*arguments):
            setattr(stuck, stuck_in, original)
            never.wait()
            raise GameFault("at last")

        original = getattr(stuck, stuck_in)
        setattr(stuck, stuck_in, wait_for_ever)
        game.kill()

    histories = []
    for disturbed_at in (None, 10):
        settings = {"num_lanes": 3, "seed": 6, "num_threads": num_threads, "hang_timeout": 4.0}
        with Player("DefendCenter", **settings) as player:
            player.reset()
            history = record(player, 10)
            if disturbed_at is not None:
                disturb(psutil.Process(player.pid(1)))
            history += record(player, 5)
            never.set()  # the one who waited ends, and disturbs nobody
            history += record(player, 10)
            threads = lane_group.threads_of(player.lanes._groups)
        histories.append(history)
        assert not any(thread.is_alive() for thread in threads)
    calm, history = histories
    assert player.lanes.faults >= (1 if stuck_in == "step" else 2)  # a slow restart is one more
    assert [step[3][1] for step in history].count(True) == 1  # truncated once
    assert history[10][3][1] and history[10][6][0].fault
    for step, expected in zip(history, calm, strict=True):
        for lane in (0, 2):
            for values, calm_values in zip(step[:4], expected[:4], strict=True):
                assert values[lane] == calm_values[lane]


def test_a_game_that_keeps_failing_is_an_error_of_wait(monkeypatch):
    def fail(*arguments):
        raise GameFault("no luck")

    with Player("Basic", num_lanes=2, num_threads=2) as player:
        player.reset()
        monkeypatch.setattr(player.lanes._lanes[1].game, "start", fail)
        psutil.Process(player.pid(1)).kill()
        with pytest.raises(RuntimeError, match=r"lane 1: .* 3 times in a row.*no luck"):
            player.step()
        assert player.lanes.faults == 1 + lane_module.MAX_ATTEMPTS


def test_any_error_of_a_lane_reaches_the_caller(monkeypatch):
    def fail(*arguments):
        raise ZeroDivisionError("deep inside")

    with Player("Basic", num_lanes=2) as player:
        player.reset()
        with monkeypatch.context() as patch:
            patch.setattr(player.lanes._lanes[0].game, "step", fail)
            with pytest.raises(ZeroDivisionError, match="deep inside"):
                player.step()
        assert player.step().rewards.shape == (2,)  # and the lanes still work


@pytest.mark.parametrize(
    "disturb", [psutil.Process.kill, psutil.Process.suspend, lambda game: None]
)
def test_closing_is_quick_and_leaves_nothing(disturb):
    player = Player("Basic", num_lanes=3)
    player.reset()
    games = [psutil.Process(player.pid(lane)) for lane in range(3)]
    disturb(games[1])
    player.lanes.send(np.zeros(3, int), player.frames, player.masks)
    begin = time.monotonic()
    player.lanes.close()
    player.lanes.close()
    assert time.monotonic() - begin < player.lanes.hang_timeout  # a stopped game is not waited for
    assert not any(game.is_running() for game in games)
    assert not any(thread.is_alive() for thread in lane_group.threads_of(player.lanes._groups))
    with pytest.raises(RuntimeError, match="closed"):
        player.step()


def test_lanes_that_are_forgotten_are_closed():
    player = Player("Basic", num_lanes=1)
    player.reset()
    game, threads = psutil.Process(player.pid(0)), lane_group.threads_of(player.lanes._groups)
    del player
    assert not game.is_running()
    assert not any(thread.is_alive() for thread in threads)
    assert not [thread for thread in threading.enumerate() if thread.name == "lanes"]
