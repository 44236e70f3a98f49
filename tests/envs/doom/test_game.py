import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import psutil
import pytest
import vizdoom

from rl_attn.envs.doom.game import Game, GameFault
from rl_attn.envs.doom.scenarios import CATEGORIES, SCENARIOS, resolve

# Random play for this many steps from this seed on shows a target in each scenario.
STEPS = 150
FIRST_SEED = 41

ROOT = Path(__file__).resolve().parents[3]
QUEUES = Path("/dev/shm")
LOCK = 48  # where in a queue of boost.interprocess its mutex begins (64 bits)


@pytest.fixture
def play():
    """A function that makes games, which are closed at the end."""
    games = []

    def make(name, targets=None, **settings):
        game = Game(resolve(name, targets), **settings)
        games.append(game)
        return game, np.full(game.frame_shape, 77, np.uint8), np.full(game.mask_shape, 77, np.uint8)

    yield make
    for game in games:
        game.close()


def expected_mask(state, scenario):
    """The mask pixel by pixel from the labels list; checks that every object is in the table."""
    mask = np.zeros(state.labels_buffer.shape, np.uint8)
    for label in state.labels:
        if scenario.shown:
            assert label.object_name in scenario.shown
            assert CATEGORIES[label.object_name] == label.object_category
        monster = label.object_category == "Monster"
        wanted = label.object_name in {
            "Basic": ["Cacodemon"],
            "DefendLine": ["DoomImp", "Demon"],
            "DefendCenter": ["MarineChainsawVzd", "Demon"],
            "TakeCover": ["DoomImp", "DoomImpBall"],
            "DeadlyCorridor": ["Zombieman", "ShotgunGuy", "ChaingunGuy"],
            "HealthGathering": ["Medikit"],
            "PredictPosition": ["Cacodemon"],
            "MyWayHome": ["GreenArmor"],
            "HealthGatheringSupreme": ["CustomMedikit", "Poison"],
        }.get(scenario.name, [label.object_name] if monster else [])
        mask[state.labels_buffer == label.value] = int(wanted)
    return mask


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_mask_is_on_exactly_for_targets(name, play):
    game, frame, mask = play(name)
    rng = np.random.default_rng(0)
    seen, on, episode_seed = set(), 0, FIRST_SEED
    game.start(episode_seed, frame, mask)
    for _ in range(STEPS):
        state = game._doom.get_state()
        np.testing.assert_array_equal(mask, expected_mask(state, game.scenario))
        np.testing.assert_array_equal(frame[..., 0], state.screen_buffer)
        drawn = [label for label in state.labels if (state.labels_buffer == label.value).any()]
        assert game.visible() == {label.object_name for label in drawn}
        # Walls are 0, floor and ceiling 1 and the weapon 255 in the labels: never the mask.
        assert not mask[state.labels_buffer <= 1].any()
        seen |= {label.object_name for label in state.labels}
        on += mask.any()
        _, terminated, truncated = game.step(int(rng.integers(game.actions.space.n)), frame, mask)
        if terminated or truncated:
            episode_seed += 1
            game.start(episode_seed, frame, mask)
    if game.scenario.shown:
        assert on > 0
        assert seen <= set(game.scenario.shown)
    if game.scenario.shown and "ATTACK" in game.actions.names:
        assert "DoomPlayer" in seen  # there was a weapon to be left out
        assert seen & {"BulletPuff", "Rocket", "CustomRocket"}


def test_a_dead_monster_is_no_target_and_the_episode_terminates(play):
    game, frame, mask = play("Basic", frame_skip=1)
    game.start(11, frame, mask)
    left, right, attack = (
        game.actions.names.index(n) for n in ("MOVE_LEFT", "MOVE_RIGHT", "ATTACK")
    )
    terminated, died = False, False
    while not terminated:
        state = game._doom.get_state()
        dead = [label for label in state.labels if label.object_name == "DeadCacodemon"]
        if dead:
            died = True
            assert not mask.any()
            assert (state.labels_buffer == dead[0].value).any()
            action = 0
        else:
            offset = np.flatnonzero(mask.any(axis=0)).mean() - 80
            action = attack if abs(offset) < 5 else left if offset < 0 else right
        last_frame = frame.copy()
        _, terminated, truncated = game.step(action, frame, mask)
        assert not truncated
    assert died
    np.testing.assert_array_equal(frame, last_frame)  # left as it was


def test_the_time_limit_truncates_and_keeps_the_last_frame(play):
    game, frame, mask = play("Basic", frame_skip=7)
    game.start(3, frame, mask)
    steps, total, truncated = 0, 0.0, False
    while not truncated:
        frame[...], mask[...] = 0, 0
        reward, terminated, truncated = game.step(0, frame, mask)
        assert not terminated
        steps, total = steps + 1, total + reward
    assert steps == 43  # 42 * 7 + 6 = 300 tics
    assert total == -300  # 1 a tic
    assert frame.any() and mask.any()
    np.testing.assert_array_equal(frame[..., 0], game._doom.get_state().screen_buffer)


def test_colour_and_gray_see_the_same_game(play):
    gray, gray_frame, gray_mask = play("DefendCenter", resolution=(320, 240))
    colour, colour_frame, colour_mask = play("DefendCenter", resolution=(320, 240), rgb=True)
    assert gray_frame.shape == (240, 320, 1)
    assert colour_frame.shape == (240, 320, 3)
    gray.start(5, gray_frame, gray_mask)
    colour.start(5, colour_frame, colour_mask)
    for action in (1, 1, 3, 2, 0, 3):
        assert gray.step(action, gray_frame, gray_mask) == colour.step(
            action, colour_frame, colour_mask
        )
    np.testing.assert_array_equal(gray_mask, colour_mask)
    weighted = colour_frame @ [0.299, 0.587, 0.114]
    assert np.abs(weighted - gray_frame[..., 0]).mean() < 3


def test_frames_and_masks_can_be_strided_views(play):
    game, frame, mask = play("TakeCover")
    game.start(5, frame, mask)
    frames = np.zeros((*game.frame_shape, 2), np.uint8)
    masks = np.zeros((*game.mask_shape, 3), np.uint8)
    game.draw(frames[..., 1], masks[..., 1])
    np.testing.assert_array_equal(frames[..., 1], frame)
    np.testing.assert_array_equal(masks[..., 1], mask)
    assert mask.any() and not masks[..., [0, 2]].any() and not frames[..., 0].any()


def test_chosen_targets_change_the_mask_and_not_the_frame(play):
    game, frame, mask = play("TakeCover")
    balls, balls_frame, balls_mask = play("TakeCover", targets=["DoomImpBall"])
    imps, imps_frame, imps_mask = play("TakeCover", targets=["category:Monster"])
    for other in (
        (game, frame, mask),
        (balls, balls_frame, balls_mask),
        (imps, imps_frame, imps_mask),
    ):
        other[0].start(2, *other[1:])
        for _ in range(40):
            other[0].step(0, *other[1:])
    assert balls_mask.any() and imps_mask.any()
    assert not (balls_mask & imps_mask).any()
    np.testing.assert_array_equal(mask, balls_mask | imps_mask)
    np.testing.assert_array_equal(frame, balls_frame)


def test_a_killed_engine_is_a_fault_and_start_begins_a_new_one(play):
    game, frame, mask = play("Basic")
    game.start(1, frame, mask)
    first = frame.copy()
    pid, doom = game.pid, game._doom
    psutil.Process(pid).kill()
    with pytest.raises(GameFault, match="Basic"):
        game.step(0, frame, mask)
    assert game.pid is None
    assert game._doom is not doom  # that one would not always play the same episode of a seed
    game.draw(frame, mask)  # the last frame seen
    np.testing.assert_array_equal(frame, first)
    game.start(1, frame, mask)
    np.testing.assert_array_equal(frame, first)
    assert game.pid not in (None, pid)


def test_closing_ends_a_stopped_engine_too(play):
    game, frame, mask = play("Basic")
    game.start(1, frame, mask)
    engine = psutil.Process(game.pid)
    engine.suspend()
    game.close()
    game.close()
    assert not engine.is_running()


@pytest.mark.skipif(not QUEUES.is_dir(), reason="where the message queues lie is known on Linux")
@pytest.mark.parametrize("queue", ["MQDoom", "MQCtr"])
@pytest.mark.parametrize("end", ["game.close()", "game._fail(RuntimeError(), game._doom)"])
def test_an_engine_that_dies_with_a_lock_holds_nobody_up(queue, end):
    """In a program of its own, all of which would stand still."""
    program = f"""
        import numpy as np, psutil
        from rl_attn.envs.doom.game import Game, GameFault
        from rl_attn.envs.doom.scenarios import resolve

        game = Game(resolve("Basic"))
        frame = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
        game.start(1, *frame)
        psutil.Process(game.pid).suspend()
        with open(f"{QUEUES}/ViZDoom{queue}{{game._doom.get_instance_id()}}", "r+b") as file:
            file.seek({LOCK})
            file.write(b"\\2")  # taken, and waited for
        try:
            {end}
        except GameFault:
            game.start(1, *frame)
            game.close()
        """
    ended = subprocess.run([sys.executable, "-c", dedent(program)], cwd=ROOT, timeout=60)
    assert ended.returncode == 0


@pytest.mark.parametrize("resolution", [(161, 120), (120, 160), (0, 0)])
def test_a_resolution_that_doom_does_not_have_is_refused(resolution):
    with pytest.raises(ValueError, match=r"choose from 160x120, 200x125, .*320x240"):
        Game(resolve("Basic"), resolution)


def test_a_frame_skip_below_one_is_refused():
    with pytest.raises(ValueError, match="frame_skip is 0"):
        Game(resolve("Basic"), frame_skip=0)


def test_any_error_of_a_launch_reaches_the_caller(play, monkeypatch):
    """Also those that are no death of the engine: here the scenario is not there."""
    game, frame, mask = play("Basic")
    game._doom.set_doom_scenario_path("nowhere.wad")
    with pytest.raises(vizdoom.FileDoesNotExistException, match=r"nowhere\.wad"):
        game.start(1, frame, mask)
