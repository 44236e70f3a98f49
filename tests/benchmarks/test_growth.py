"""The benchmark of growth: its figures, and what the numbers in them are."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Of the sections that play; studies and classifiers take seconds to load."""
    import growth

    folder = tmp_path_factory.mktemp("growth")
    flags = ["--quick", "--only", "lanes", "memory", "--out", str(folder)]
    assert growth.main(flags) == 0
    return folder


def test_there_is_a_figure_and_the_numbers_of_each(out):
    assert {file.name for file in out.iterdir()} == {
        *("lanes.png", "lanes.svg", "memory.png", "memory.svg", "figures.json")
    }
    found = json.loads((out / "figures.json").read_text())["growth"]
    curves = found["lanes"]["curves"]
    assert [*curves] == ["stepping", "training with CAMAL"]
    for points in curves.values():
        assert [size for size, _ in points] == [1, 2]
        assert all(speed > 0 for _, speed in points)
    (held,) = found["memory"]["curves"].values()
    assert [steps for steps, _ in held] == [16, 32, 48, 64]
    assert all(mib > 100 for _, mib in held)


def test_memory_is_extrapolated_along_the_second_half(monkeypatch):
    import growth

    mib = iter([500.0, 900.0, 1000.0, 1000.016])  # a MiB a thousand steps at last
    monkeypatch.setattr(growth, "held_mib", lambda pid: next(mib))
    monkeypatch.setattr(growth, "working", _nothing)
    found = growth.memory(growth.GrowthSettings(num_envs=2, num_steps=8, quick=True))
    assert found.more == "+1000.0 MiB a million steps: 11,000 MiB after 10M"


class _nothing:
    """A contender that does nothing at once."""

    pid = 0

    def __init__(self, *_):
        pass

    def __enter__(self):
        return (self,)

    def __exit__(self, *_):
        pass

    def ask(self, chunk):
        pass

    def answer(self):
        pass


def test_a_study_is_timed_by_its_runs(monkeypatch):
    import growth

    from rl_attn import study

    asked, clock = [], iter([0.0, 36.0])
    monkeypatch.setattr(study, "main", lambda argv: asked.append(argv) or 0)
    monkeypatch.setattr(growth.time, "perf_counter", lambda: next(clock))
    found = growth.workers(growth.GrowthSettings(quick=True))
    assert found.curves == {"a study": [(1, 100.0)]}
    assert asked[0][-2:] == ["--workers", "1"]
