import re
import shutil

import gymnasium
import numpy as np
import pytest

from rl_attn.envs.doom import lanes as lanes_module
from rl_attn.envs.doom import wad
from rl_attn.envs.doom.env import DoomEnv
from rl_attn.envs.doom.game import Game
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.scenario_file import FOLDER, PACKAGE, register_scenario, scenario_from
from rl_attn.envs.doom.scenarios import SCENARIOS, Scenario, resolve
from rl_attn.errors import UserError


@pytest.fixture
def files(tmp_path):
    """A function from text of one's own (replacements, or lines to add) to a scenario file."""
    shutil.copy(FOLDER / "health_gathering_supreme.wad", tmp_path / "mine.wad")
    text = (FOLDER / "health_gathering_supreme.cfg").read_text()
    text = text.replace("health_gathering_supreme.wad", "mine.wad")

    def write(replacements=None, more=""):
        changed = text
        for old, new in (replacements or {}).items():
            assert old in changed
            changed = changed.replace(old, new)
        (tmp_path / "mine.cfg").write_text(changed + more)
        return tmp_path / "mine.cfg"

    return write


def test_a_file_of_ones_own_with_objects_of_its_own_is_played(files):
    scenario = scenario_from(files(), ["CustomMedikit"], max_buttons=2)
    assert (scenario.name, scenario.time_limit) == ("mine", 2100)
    frames = []
    for one in (scenario, resolve("HealthGatheringSupreme", ["CustomMedikit"], max_buttons=2)):
        env = DoomEnv(one)
        frames.append([env.reset(seed=3)[0]] + [env.step(6)[0] for _ in range(10)])
        assert env.action_names[6] == "TURN_RIGHT+MOVE_FORWARD"
        env.close()
    assert sum(observation["mask"].sum() for observation in frames[0])
    for ours, theirs in zip(*frames, strict=True):
        np.testing.assert_array_equal(ours["frame"], theirs["frame"])
        np.testing.assert_array_equal(ours["mask"], theirs["mask"])


def test_a_path_is_a_name(files):
    scenario = resolve(str(files()), ["poison", "category:Monster", "DeadPoison"])
    assert scenario.is_target("Poison", "Health") and scenario.is_target("Cyberdemon", "Monster")
    with pytest.raises(ValueError, match="no targets given for mine"):
        resolve(str(files()))


def test_registered_it_is_a_name_like_any_other(files, monkeypatch):
    monkeypatch.setitem(SCENARIOS, "unused", SCENARIOS["Basic"])  # restores the table afterwards
    try:
        register_scenario("Mine", files(), ["Poison"], time_limit=8)
        env = gymnasium.make("rl_attn/Mine-v0")
        env.reset(seed=1)
        assert [env.step(0)[3] for _ in range(2)] == [False, True]
        env.close()
        with pytest.raises(ValueError, match="'Mine' already"):
            register_scenario("Mine", files(), ["Poison"])
    finally:
        SCENARIOS.pop("Mine", None)
        gymnasium.registry.pop("rl_attn/Mine-v0", None)


def test_the_main_game_of_the_file_is_played(files):
    paths = {
        "freedoom1.wad": PACKAGE / "freedoom1.wad",  # of the package, wherever the file is
        "own.wad": files().parent / "own.wad",
    }
    patch = (files().parent / "mine.wad").read_bytes()
    paths["own.wad"].write_bytes(b"IWAD" + patch[4:])
    for written, path in paths.items():
        config = files(more=f"\ndoom_game_path = {written}\n")
        game = Game(scenario_from(config, ["Poison"]))
        assert game._doom.get_doom_game_path() == str(path)
    assert Game(SCENARIOS["Basic"])._doom.get_doom_game_path() == str(PACKAGE / "freedoom2.wad")


@pytest.mark.parametrize(
    ("replacements", "more", "words"),
    [
        ({"TURN_LEFT": "TURN_LFT"}, "", r"available_buttons.*'TURN_LFT' \(did you mean TURN_LEFT"),
        ({"available_buttons": "#"}, "", "unknown setting|cannot be read|has no buttons"),
        ({"living_reward": "livng_reward"}, "", r"'livng_reward' \(did you mean living_reward"),
        ({"HEALTH": "HELTH"}, "", r"'HELTH' \(did you mean HEALTH"),
        ({"2100": "many"}, "", "mine.cfg: correct the value in 'episode_timeout = many'"),
        ({"episode_timeout = 2100": "episodeTimeout = many"}, "", "'episodeTimeout = many'"),
        ({"available_buttons": "availableButtons", "TURN_LEFT": "TURN_LFT"}, "", "'TURN_LFT'"),
        ({"available_buttons": "available_butons"}, "", "did you mean available_buttons"),
        ({"available_buttons": "AVAILABLE_BUTTONS", "TURN_LEFT": "TURN_LFT"}, "", "'TURN_LFT'"),
        ({}, "\navailable_buttons += { ATACK }\n", r"'ATACK' \(did you mean ATTACK"),
        ({}, "\navailable_buttons += { ATTACK\n", "a list that cannot be read"),
        ({"mine.wad": "nine.wad"}, "", "nine.wad, which is not there"),
        (
            {},
            "\ndoom_game_path = my.wad\n",
            "my.wad, which is not there: correct its doom_game_path",
        ),
        ({}, "\ndoom_map = MAP07\n", "mine.wad has no map map07: it has MAP01"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(files, replacements, more, words):
    with pytest.raises(ValueError, match=words):
        scenario_from(files(replacements, more), ["Poison"])


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (["CustomMedkit"], "'CustomMedkit' (did you mean CustomMedikit?)"),
        (["category:Monstr"], "did you mean category:Monster?"),
        ([], "no targets given"),
    ],
)
def test_a_target_that_no_file_defines_is_refused(files, targets, words):
    with pytest.raises(ValueError) as error:
        scenario_from(files(), targets)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_an_empty_wad_is_refused_also_for_a_scenario_made_by_hand(files):
    config = files()
    (config.parent / "mine.wad").write_bytes(b"")
    with pytest.raises(ValueError, match=r"mine\.wad is not a WAD"):
        scenario_from(config, ["Poison"])
    with pytest.raises(ValueError, match=r"mine\.wad is not a WAD"):
        Game(Scenario("Mine", str(config), ("Poison",), 2100, ("Poison",)))
    with pytest.raises(ValueError, match="there is no scenario file"):
        scenario_from(config.parent / "other.cfg", ["Poison"])


def test_a_target_that_is_never_in_view_is_told_once(files, monkeypatch):
    monkeypatch.setattr(lanes_module, "UNSEEN_AFTER", 3)
    scenario = scenario_from(files(), ["CustomMedikit", "Cyberdemon"])
    with Lanes(scenario, 2) as lanes:
        frames = np.empty((2, *lanes.frame_shape), np.uint8)
        masks = np.empty((2, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        with pytest.warns(UserWarning, match="Cyberdemon was never in view in 6 steps") as told:
            for _ in range(9):
                lanes.step([1, 1], frames, masks)
        assert len(told) == 1 and "CustomMedikit" in str(told[0].message)


def test_game_variables_are_observed_where_asked():
    env = DoomEnv("Basic", variables=["AMMO2", "HEALTH"])
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert observation["variables"].tolist() == [50, 100]
    for _ in range(8):
        observation, *_ = env.step(3)
    assert observation["variables"][0] < 50
    env.close()
    with pytest.raises(ValueError, match="unknown game variable 'AMO2'"):
        DoomEnv("Basic", variables=["AMO2"])
    many = gymnasium.make_vec(
        "rl_attn/Basic-v0", num_envs=2, variables=["AMMO2"], max_episode_steps=8
    )
    many.reset(seed=[0, 0])
    for _ in range(8):
        observation, *_, infos = many.step(np.array([3, 0]))
    assert observation in many.observation_space
    assert observation["variables"].tolist() == [[50], [50]]
    final = [one["variables"].tolist() for one in infos["final_obs"]]
    assert final[0][0] < 50 and final[1] == [50]
    many.close()


def test_another_wad_is_played_with_all_else_of_a_scenario(tmp_path):
    lumps = wad.read(FOLDER / "basic.wad")
    text = dict(lumps)["TEXTMAP"]
    repainted = re.sub(rb'(texturemiddle\s*=\s*)"[^"-]+"', rb'\1"BRICK7"', text)
    assert repainted != text
    wad.write(tmp_path / "bricks.wad", [(n, repainted if n == "TEXTMAP" else d) for n, d in lumps])
    shutil.copy(FOLDER / "basic.cfg", tmp_path / "mine.cfg")
    seen = {}
    for name, targets in (("Basic", None), (str(tmp_path / "mine.cfg"), ["category:Monster"])):
        for path in ("", str(tmp_path / "bricks.wad")):
            if path or name == "Basic":
                env = DoomEnv(resolve(name, targets, wad=path))
                env.reset(seed=3)
                seen[name, bool(path)] = env.step(1)[0]
                env.close()
    plain, *others = seen.values()
    for other in others:
        np.testing.assert_array_equal(other["mask"], plain["mask"])
        assert (other["frame"] != plain["frame"]).mean() > 0.1
    with pytest.raises(ValueError, match=r"nowhere\.wad, which is not there"):
        Game(resolve("Basic", wad=str(tmp_path / "nowhere.wad")))
    with pytest.raises(ValueError, match=r"nowhere\.wad, which is not there"):
        resolve(str(tmp_path / "mine.cfg"), ["category:Monster"], wad="nowhere.wad")


def test_a_map_for_several_players_is_refused_before_the_engine_dies_of_it():
    with pytest.raises(UserError, match=r"map01 of cig\.wad has no start for one player"):
        scenario_from(FOLDER / "cig.cfg", ["category:Monster"])


def test_a_patch_is_no_main_game(files):
    path = files(more="\ndoom_game_path = mine.wad\n")
    with pytest.raises(UserError, match="no main game \\(IWAD\\)"):
        scenario_from(path, ["Poison"])


def test_a_set_of_buttons_has_each_of_them_once(files):
    """Sets of more presses than there are buttons are not looked for: they are billions here."""
    path = files({"MOVE_FORWARD": "LOOK_UP_DOWN_DELTA"})
    values = tuple(range(1, 37))
    scenario = scenario_from(path, ["Poison"], max_buttons=15, delta_values=values)
    assert Game(scenario).actions.space.n == 2 * 2 * 37
