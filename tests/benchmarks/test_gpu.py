"""The benchmark of a GPU, on the CPU: that it works and says what it measured.

Contests of other benchmarks are tested there; here they are known times.
"""

import json
import sys
from pathlib import Path

import pytest

from rl_attn.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of all sections, in this process."""
    import gpu
    from contest import Result

    def contest(entries, settings, count, rounds, inline):
        assert inline and rounds == 1
        times = enumerate(entries, start=1)
        return [Result(entry.name, "noted", [2.0 * i], [float(i)]) for i, entry in times]

    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    flags = ["--device", "cpu", "--quick", "--seconds", "0.01", "--json", str(path)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gpu, "compete", contest)
        assert gpu.main(flags) == 0
    return json.loads(path.read_text())["sections"]


def section(report, word: str) -> dict[str, dict]:
    (rows,) = (rows for heading, rows in report.items() if heading.startswith(word))
    return {row["name"]: row for row in rows}


def test_every_kind_of_agent_is_compared_with_the_first(report):
    rows = section(report, "agents, 2 games")
    assert [*rows] == [
        f"{network}, {method}, eager"
        for network in ("nature", "impoola")
        for method in ("Vanilla", "CAMAL")
    ]
    first = rows["nature, Vanilla, eager"]
    assert first["time"] == 1.0
    for row in rows.values():
        assert row["value"] > 0 and row["unit"] == "steps/s"
        assert row["time"] == pytest.approx(first["value"] / row["value"])


def test_the_parts_of_an_update_add_up(report):
    rows = section(report, "an update of nature, CAMAL")
    whole = rows.pop("all of it")["value"]
    assert {"forward", "backward and clipping", "map and its loss", "Adam"} <= rows.keys()
    assert sum(row["value"] for row in rows.values()) == pytest.approx(whole)
    assert all(row["value"] >= 0 for row in rows.values())


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("peers", ["our PPO"]),
        ("five seeds", ["five runs in turn", "one batched model"]),
        ("resnet18", ["cross-entropy alone", "CAMAL"]),
    ],
)
def test_the_other_sections_have_their_rows(report, word, names):
    rows = section(report, word)
    assert [*rows] == names
    assert [row["time"] for row in rows.values()] == [1.0, 2.0][: len(names)]
    work = {"peers": 16, "five seeds": 5, "resnet18": 2}[word]  # in 2 s by the first
    assert rows[names[0]]["value"] == work / 2


def test_what_the_time_does_not_suffice_for_says_so(monkeypatch):
    import gpu

    monkeypatch.setattr(gpu.Clock, "suffices", lambda self, seconds: False)
    args = gpu.GpuSettings("cuda", only=gpu.SECTIONS)
    found = dict(gpu.sections(args, gpu.Clock(7.0)))
    assert len(found) == 6 + 3
    assert all(row.more == "not reached" for rows in found.values() for row in rows)


def test_a_kind_that_fails_is_a_line_and_the_others_go_on():
    import gpu

    speed = {"steps_per_second": 10.0, "rollout_seconds": 1.0, "update_seconds": 2.0}
    found = [("a", {**speed, "peak_gib": 1.5}), ("b", {"failed": "OutOfMemoryError: no"})]
    one, other = gpu._agent_rows(found)
    assert one.time == 1.0 and "1.5 GiB" in one.more
    assert other.value is None and other.more == "OutOfMemoryError: no"


def test_a_section_that_fails_is_a_line_too():
    import gpu

    def failing():
        yield "first", [gpu.Row("a", 1.0)]
        raise RuntimeError("the process of grid has failed:\nTraceback\nUserError: no room")

    found = dict(gpu.tried("agents", failing()))
    assert [*found] == ["first", "agents"]
    assert found["agents"][0].more == "failed: UserError: no room"


def test_without_a_gpu_it_says_so():
    import gpu

    with pytest.raises(UserError, match="measures a GPU, and there is none"):
        gpu.main(["--device", "cpu"])
