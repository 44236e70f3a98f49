"""Under every look the game is the same one, tic for tic, and the picture is another one."""

import gymnasium
import numpy as np
import psutil
import pytest
import vizdoom
from player import Player, record

from rl_attn.envs.doom import wad
from rl_attn.envs.doom.env import DoomEnv
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.looks import (
    AXES,
    PLAIN,
    Look,
    Looks,
    look_of_variation,
    sample,
    variation_of,
    variation_space,
)
from rl_attn.envs.doom.processes import home
from rl_attn.envs.doom.scenario_file import FOLDER
from rl_attn.envs.doom.scenarios import resolve
from rl_attn.envs.doom.surfaces import PARTS, names, surfaces
from rl_attn.envs.doom.wad_of_looks import lumps_of_looks

STEPS = 150

# Look, and at least which share of the picture and which of the targets' pixels it changes in
# DefendCenter; targets are left alone (0) or changed by at least half as many as was measured.
SHARES = {
    "freedoom": (Look(surfaces=4), 0.80, 0),
    "noise": (Look(surfaces=1), 0.93, 0),
    "stripes": (Look(surfaces=2), 0.90, 0),
    "natural": (Look(surfaces=3), 0.90, 0),
    "held-out": (Look(surfaces=404), 0.60, 0),
    "light": (Look(light=96 / 210), 0.94, 0.98),
    "height": (Look(height=3.0), 0.443, 0),
    "motion": (Look(motion=96), 0.25, 0),
    "decorations": (Look(decorations=3), 0.001, 0),
    "tint": (Look(tint=-0.3), 0.85, 0.9),
    "noisy frame": (Look(noise=16), 0.9, 0.9),
    "colour": (Look(colour="blue"), 0.001, 0.5),
    "translucency": (Look(translucency=0.5), 0.001, 0.5),
}


def play(game, look, seed=7):
    """(frames, masks, rewards and ends) of STEPS random steps."""
    frame, mask = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
    rng, frames, masks, results = np.random.default_rng(0), [], [], []
    game.start(seed, frame, mask, look)
    for _ in range(STEPS):
        frames.append(frame.copy())
        masks.append(mask.copy())
        results.append(game.step(int(rng.integers(game.actions.space.n)), frame, mask))
        if any(results[-1][1:]):
            seed += 1
            game.start(seed, frame, mask, look)
    return np.array(frames), np.array(masks, bool), results


# DefendLine has targets at its walls; TakeCover's fire balls are translucent of themselves, so that
# what is behind them shows: its monsters alone are compared. Basic's scripts name the map.
@pytest.fixture(scope="module", params=["DefendCenter", "DefendLine", "TakeCover", "Basic"])
def scenario(request):
    """(a game that has every look, what is played in the plain one without looks)"""
    chosen = resolve(request.param, ["category:Monster"])
    plain = Game(chosen)
    expected = play(plain, PLAIN)
    plain.close()
    game = Game(chosen, looks=[look for look, _, _ in SHARES.values() if look.actors == PLAIN])
    yield game, expected
    game.close()


@pytest.mark.parametrize("name", SHARES)
def test_a_look_changes_the_picture_and_nothing_else(scenario, name):
    game, (frames, masks, results) = scenario
    look, share, target_share = SHARES[name]
    seen, same_masks, same_results = play(game, look)
    assert same_results == results
    np.testing.assert_array_equal(same_masks, masks)
    changed = (seen != frames).any(-1)
    assert masks.any()
    if target_share == 0:
        assert not changed[masks].any()
    if game.scenario.name == "DefendCenter":
        assert changed.mean() >= share
        assert changed[masks].mean() >= target_share
    else:
        assert changed.any()
    if look.motion or look.noise:  # what moves, moves by the game's time
        np.testing.assert_array_equal(play(game, look)[0], seen)


def test_the_plain_look_among_others_is_the_scenario_itself(scenario):
    game, (frames, masks, results) = scenario
    seen, same_masks, same_results = play(game, PLAIN)
    np.testing.assert_array_equal(seen, frames)
    np.testing.assert_array_equal(same_masks, masks)
    assert same_results == results


def test_walls_move_in_a_moving_look():
    game = Game(resolve("HealthGathering"), looks=[Look(motion=64)])
    frame, mask = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
    moved = []
    for look in (Look(light=0.8, surfaces=1), Look(light=0.8, surfaces=1, motion=64)):
        game.start(3, frame, mask, look)
        before = frame.copy()
        game.step(0, frame, mask)
        moved.append((frame != before)[:60].mean())
    game.close()
    assert moved[1] > moved[0] + 0.05


@pytest.mark.parametrize("axis", AXES)
def test_what_is_held_out_is_never_drawn_to_train_with(axis):
    train, test = (
        {getattr(sample([axis], part, np.random.default_rng(seed)), axis) for seed in range(300)}
        for part in ("train", "test")
    )
    assert not train & test and len(train) > 1 and len(test) > 1
    assert getattr(PLAIN, axis) not in train | test
    assert train <= set(AXES[axis].train) and test <= set(AXES[axis].test)


def test_sets_of_surfaces_differ_and_are_always_the_same():
    game = FOLDER.parent / "freedoom2.wad"
    sets = [surfaces(number, game) for number in range(1, 201)]
    assert sets[:20] == [surfaces(number, game) for number in range(1, 21)]
    assert len({(one.wall, one.floor, one.ceiling) for one in sets}) > 190
    walls, flats, skies = names(game)
    assert len(walls) > 100 and len(flats) > 60 and skies
    for one in sets:
        made = {name for name, _ in one.images}
        assert one.wall in made | set(walls) and {one.floor, one.ceiling} <= made | set(flats)
        assert len(made) in (0, len(PARTS)) and one.sky in skies


def test_a_set_of_looks_by_text():
    looks = Looks.parse("train:surfaces,light", count=5, seed=2)
    assert looks.looks == Looks.parse("train: surfaces, light", count=5, seed=2).looks
    assert len(looks.looks) == 5
    for look in looks.looks:
        assert look.surfaces in AXES["surfaces"].train and look.light in AXES["light"].train
        assert look == Look(surfaces=look.surfaces, light=look.light)
    every = Looks.parse("test:all").looks
    assert all(look.actors == PLAIN for look in every)
    assert all(look.height in AXES["height"].test for look in every)
    assert Looks.parse("test").looks == every
    for seed in range(20):
        assert looks.of(seed) is looks.of(seed)
    assert {looks.of(seed) for seed in range(200)} == set(looks.looks)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train:surfaces,lights", r"'lights' \(did you mean light\?\)"),
        ("tran:light", r"'tran' \(did you mean train\?\)"),
        ("", "unknown part of the looks ''"),
    ],
)
def test_a_misspelt_set_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        Lanes("Basic", 1, looks=text)


@pytest.mark.parametrize(
    ("name", "looks", "words"),
    [
        ("Freedoom2", "train:light", "Freedoom2 has no WAD of its own"),
        ("PredictPosition", "train:all", "rooms of different heights.*leave the axis height out"),
        ("Deathmatch", "train:colour", "Deathmatch does not list the objects"),
    ],
)
def test_looks_that_a_scenario_cannot_have_are_refused_before_a_game_starts(name, looks, words):
    with pytest.raises(ValueError, match=words):
        Lanes(name, 1, looks=looks)


def test_a_map_in_the_old_format_has_no_looks(tmp_path):
    lumps = [("MAP01", b""), ("THINGS", b""), ("LINEDEFS", b"")]
    wad.write(tmp_path / "old.wad", lumps)
    text = "doom_scenario_path = old.wad\navailable_buttons = { ATTACK }\n"
    (tmp_path / "old.cfg").write_text(text)
    with pytest.raises(ValueError, match="tint and noise: there is no map map01 in UDMF"):
        Lanes(resolve(str(tmp_path / "old.cfg"), ["DoomImp"]), 1, looks="train:light")


def test_the_wad_has_a_map_a_look_and_keeps_what_belongs_to_none():
    lumps = lumps_of_looks(resolve("HealthGatheringSupreme"), (PLAIN, Look(surfaces=1, light=0.8)))
    lump_names = [name for name, _ in lumps]
    assert list(wad.maps(lump_names)) == ["LOOK0000", "LOOK0001"]
    assert b"CustomMedikit" in dict(lumps)["DECORATE"]
    plain, other = (
        wad.parse(dict(wad.map_lumps(list(lumps), f"LOOK000{number}"))["TEXTMAP"])
        for number in range(2)
    )
    original = wad.map_lumps(wad.read(FOLDER / "health_gathering_supreme.wad"), "MAP01")
    assert plain == wad.parse(dict(original)["TEXTMAP"])
    assert next(block for block in other if block.kind == "sector").values == {
        "texturefloor": '"LK0001F"',
        "textureceiling": '"LK0001C"',
        "heightceiling": "104",
        "lightlevel": "168",  # 210 * 0.8
        "special": "83",
    }


def test_a_reset_chooses_the_look_and_the_seed_the_game():
    env = DoomEnv("Basic")
    plain, info = env.reset(seed=5)
    assert info["look"] == {axis: getattr(PLAIN, axis) for axis in AXES}
    numbers = {"surfaces": 3, "light": 1}
    for variation in (numbers, Look(surfaces=3, light=0.6), ["surfaces"], "light"):
        twin, info = env.reset(seed=5, options={"variation": variation})
        np.testing.assert_array_equal(twin["mask"], plain["mask"])
        assert (twin["frame"] != plain["frame"]).mean() > 0.5
        chosen = variation_of(Look(**info["look"]))
        assert chosen in env.variation_space
        if variation is numbers:
            assert chosen == dict.fromkeys(AXES, 0) | numbers
    again, _ = env.reset(seed=5)
    np.testing.assert_array_equal(again["frame"], plain["frame"])
    env.close()


@pytest.mark.parametrize(
    ("variation", "words"),
    [
        (["lihgt"], "did you mean light"),
        ({"light": 99}, "light has no value 99: choose from 0 to 7"),
        ({"lihgt": 1}, "did you mean light"),
        (5, "a variation is axes, or their numbers by axis, got 5"),
    ],
)
def test_a_variation_that_there_is_not_is_refused(variation, words):
    with pytest.raises(ValueError, match=words):
        look_of_variation(variation, np.random.default_rng(0))


def test_every_number_of_the_variation_space_is_a_look():
    for axis, space in variation_space().items():
        for number in range(space.n):
            look = look_of_variation({axis: number}, np.random.default_rng(0))
            assert variation_of(look)[axis] == number


def test_lanes_take_a_look_each_episode_and_go_on_exactly():
    looks = Looks.parse("train:surfaces,light,noise", count=6)
    with Player("Basic", num_lanes=2, seed=3, looks=looks) as player:
        player.reset()
        expected = record(player, 100)
        assert sum(len(step[-1]) for step in expected) >= 2
        assert len(list(home().folder.glob("looks-*"))) >= 1
    with Player("Basic", num_lanes=2, seed=3, looks=looks) as player:
        player.reset()
        assert record(player, 50) == expected[:50]
        state, rng = player.lanes.state_dict(), player.rng
    with Player("Basic", num_lanes=2, looks=looks) as player:
        player.lanes.load_state_dict(state, player.frames, player.masks)
        player.rng = rng
        assert player.digests() == expected[49][0]
        assert record(player, 50) == expected[50:]
    with (
        Player("Basic", num_lanes=2, looks="train:light") as player,
        pytest.raises(ValueError, match=r"this state is of 2 lanes with .*surfaces,light,noise"),
    ):
        player.lanes.load_state_dict(state, player.frames, player.masks)


def test_a_game_that_dies_comes_back_in_its_look():
    with Player("Basic", num_lanes=1, looks=[Look(surfaces=2)]) as player:
        player.reset()
        psutil.Process(player.pid(0)).kill()
        assert player.step().truncated.all()
        first = player.frames.copy()
        seed = player.lanes._lanes[0].seed
    with Player("Basic", num_lanes=1, episode_seeds=[seed], looks=[Look(surfaces=2)]) as player:
        player.reset()
        np.testing.assert_array_equal(player.frames, first)


def test_the_vector_environment_takes_looks():
    envs = gymnasium.make_vec("rl_attn/Basic-v0", num_envs=2, looks="test:surfaces")
    plain = gymnasium.make_vec("rl_attn/Basic-v0", num_envs=2)
    observations = [one.reset(seed=1)[0] for one in (envs, plain)]
    envs.close()
    plain.close()
    np.testing.assert_array_equal(observations[0]["mask"], observations[1]["mask"])
    assert (observations[0]["frame"] != observations[1]["frame"]).mean() > 0.5


def test_the_vector_environment_takes_variations_until_the_next_reset():
    envs = gymnasium.make_vec("rl_attn/Basic-v0", num_envs=2, max_episode_steps=2)
    single = DoomEnv("Basic")
    variation = {"surfaces": 401, "light": 5}
    for given, each in (
        (variation, [variation] * 2),
        ([variation, {}], [variation, {}]),
        (["surfaces"], [["surfaces"]] * 2),  # drawn for each game as it is for a single one
        (None, [None] * 2),
    ):
        options = None if given is None else {"variation": given}
        first, _ = envs.reset(seed=[5, 6], options=options)
        for lane, one in enumerate(each):
            expected, _ = single.reset(seed=5 + lane, options={"variation": one} if one else None)
            np.testing.assert_array_equal(first["frame"][lane], expected["frame"])
        if given == [variation, {}]:
            envs.step(np.array([0, 0]))
            second = envs.step(np.array([0, 0]))[0]["frame"]  # of the next episode
            looks = [lane.game._worn for lane in envs.unwrapped._lanes._lanes]
            assert looks == [Look(surfaces=401, light=0.65), PLAIN]
            assert second.shape == first["frame"].shape
    with pytest.raises(ValueError, match="did you mean light"):
        envs.reset(options={"variation": {"lihgt": 1}})
    with pytest.raises(ValueError, match="3 variations for 2 lanes"):
        envs.reset(options={"variation": [{}] * 3})
    envs.close()
    single.close()


def test_variations_of_lanes_go_on_exactly():
    variations = [{"surfaces": 401}, {"tint": 1}]
    with Player("Basic", num_lanes=2, seed=3) as player:
        player.lanes.reset(player.frames, player.masks, variations=variations)
        record(player, 10)
        state, rng = player.lanes.state_dict(), player.rng.bit_generator.state
        expected = record(player, 80)  # into the next episodes
    with Player("Basic", num_lanes=2, seed=3) as player:
        player.lanes.load_state_dict(state, player.frames, player.masks)
        player.rng.bit_generator.state = rng
        assert record(player, 80) == expected


def test_looks_of_the_frame_alone_need_no_map():
    frames = []
    for look in (PLAIN, Look(tint=-0.3)):
        game = Game(resolve("Freedoom2"), looks=[look])
        frame, mask = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
        game.start(1, frame, mask, look)
        frames.append(frame)
        game.close()
    assert (frames[0] != frames[1]).mean() > 0.5


def test_other_threads_go_on_while_a_map_is_loaded(monkeypatch):
    looks = [Look(surfaces=1), Look(surfaces=2)]
    loaded = []
    set_doom_map = vizdoom.DoomGame.set_doom_map

    def keeping_the_lock(doom, name):
        loaded.append(name)
        set_doom_map(doom, name)

    monkeypatch.setattr(vizdoom.DoomGame, "set_doom_map", keeping_the_lock)
    game = Game(resolve("Basic"), looks=looks)
    frame, mask = np.empty(game.frame_shape, np.uint8), np.empty(game.mask_shape, np.uint8)
    frames = []
    try:
        for look in (*looks, PLAIN, *looks):
            game.start(1, frame, mask, look)
            frames.append(frame.tobytes())
    finally:
        game.close()
    assert frames[:2] == frames[3:] and len(set(frames)) == 3
    assert len(loaded) <= 2  # as the engine starts, and once to name the map by a variable
