import pytest

from rl_attn.envs.doom.scenario_file import FOLDER, load
from rl_attn.envs.doom.scenarios import CATEGORIES, SCENARIOS, resolve


def test_the_table_has_the_scenarios_of_the_paper_and_all_others_for_one_player():
    assert list(SCENARIOS)[:4] == ["Basic", "DefendLine", "DefendCenter", "TakeCover"]
    # cig and multi* are for several players, doom and doom2 need a file that is sold, oblige one
    # that a program makes.
    others = {"cig", "multi", "multi_duel", "doom", "doom2", "oblige"}
    files = {path.stem for path in FOLDER.glob("*.cfg")} - others
    assert {scenario.config.removesuffix(".cfg") for scenario in SCENARIOS.values()} == files
    assert len(SCENARIOS) == len(files) == 17


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_target_of_the_table_can_be_shown(name):
    scenario = resolve(name)
    assert set(scenario.targets) <= set(scenario.target_choices())
    shown = scenario.shown
    assert not shown or any(scenario.is_target(name, CATEGORIES[name]) for name in shown)


@pytest.mark.parametrize("name", SCENARIOS)
def test_time_limits_are_those_of_the_files(name):
    limit = load(FOLDER / SCENARIOS[name].config).get_episode_timeout()
    assert SCENARIOS[name].time_limit == (limit or None)


def test_rules_match_names_and_categories():
    scenario = resolve("TakeCover")
    assert scenario.is_target("DoomImp", "Monster")
    assert scenario.is_target("DoomImpBall", "Explosive")
    assert not scenario.is_target("BulletPuff", "Explosive")
    assert not scenario.is_target("DeadDoomImp", "Gore")


def test_targets_can_be_replaced_and_the_table_stays():
    assert resolve("DefendLine", ["DoomImpBall"]).targets == ("DoomImpBall",)
    assert resolve("DefendLine", "category:Monster").targets == ("category:Monster",)
    assert resolve("DefendLine").targets == ("category:Monster",)


@pytest.mark.parametrize(
    ("name", "targets", "words"),
    [
        ("defendcenter", None, ["'defendcenter'", "did you mean DefendCenter", "MyWayHome"]),
        ("Pong", None, ["'Pong'", "choose from Basic, DefendLine"]),
        ("Basic", ["DoomImp"], ["Basic", "'DoomImp'", "Cacodemon", "category:Monster"]),
        ("Basic", ["category:Weapon"], ["'category:Weapon'", "category:Gore"]),
        ("MyWayHome", ["GreenArmour"], ["did you mean GreenArmor"]),
        ("Basic", [], ["no targets", "Cacodemon"]),
    ],
)
def test_wrong_names_are_refused_in_one_line_with_the_choices(name, targets, words):
    with pytest.raises(ValueError) as error:
        resolve(name, targets)
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
