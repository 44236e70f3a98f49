"""The contest of contenders, in one process."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from contest import Entry, compete


class Counter:
    """Returns as many as it is asked for, and `more`."""

    def __init__(self, settings: dict, more: float = 0.0) -> None:
        self.settings, self.more, self.note = settings, more, "counts"
        settings["made"] = settings.get("made", 0) + 1

    def run(self, count: int) -> float:
        return count + self.more

    def close(self) -> None:
        self.settings["closed"] = self.settings.get("closed", 0) + 1


def entry(name: str, **how) -> Entry:
    return Entry(name, f"{__name__}:Counter", **how)


def test_contenders_are_compared_within_each_round_and_closed():
    settings = {}
    first, second = compete([entry("a"), entry("b")], settings, 5, rounds=3, inline=True)
    assert settings == {"made": 2, "closed": 2}
    assert first.works == second.works == [5.0, 5.0, 5.0]
    assert first.times == [1.0, 1.0, 1.0] and len(second.times) == 3
    assert first.note == "counts" and second.peak_mib > 20


def test_other_work_is_refused_but_of_one_that_says_so():
    other = {"options": {"more": 2.0}}
    with pytest.raises(RuntimeError, match=r"b did other work \(7\) than a \(5\)"):
        compete([entry("a"), entry("b", **other)], {}, 5, rounds=1, inline=True)
    _, own = compete([entry("a"), entry("b", own_work=True, **other)], {}, 5, 1, inline=True)
    assert own.works == [7.0]


def test_envpool_joins_in_where_it_is_installed_and_has_the_game(monkeypatch):
    import rl_throughput

    installed = lambda name: object() if name == "envpool" else None  # noqa: E731
    monkeypatch.setattr(rl_throughput, "find_spec", installed)
    for section, env, joins in (
        ("stepping", "DefendCenter", True),
        ("stepping", "Basic", False),
        ("training", "DefendCenter", False),
    ):
        args = rl_throughput.ThroughputSettings(env=env)
        found = [each.name for each in rl_throughput.entries(section, args)]
        assert any("EnvPool" in name for name in found) == joins
