"""Searches: what is drawn, what it is worth, what is pruned, and what a kill leaves."""

import pytest
import yaml

from rl_attn.errors import UserError
from rl_attn.studies.search import examples, watched
from rl_attn.studies.space import Range

optuna = pytest.importorskip("optuna", reason="needs Optuna: pip install 'rl-attn[search]'")

SPACE = {"gain": {"low": 2.8, "high": 3.0}, "checkpoint_interval": {"choices": [4, 5]}}


def search(**changes) -> dict:
    return {"metric": "value", "trials": 3, "space": SPACE, "prune": False, **changes}


def trials(lab) -> list:
    backend = optuna.storages.journal.JournalFileBackend(str(lab.out / "search.log"))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name="search", storage=storage).trials


def test_a_trial_is_worth_the_mean_over_the_grid_and_the_seeds(lab, capsys):
    lab.write(search=search(trials=2), grid={"method": {"A": {}}})
    assert lab.run("--workers", "2") == 0
    rows = lab.results()
    assert sorted(row["cell"] for row in rows) == [
        *("t000-A-s1", "t000-A-s2"),
        *("t001-A-s1", "t001-A-s2"),
    ]
    assert list(rows[0])[:5] == ["cell", "gain", "checkpoint_interval", "method", "seed"]
    for trial in trials(lab):
        own = [row for row in rows if row["cell"].startswith(f"t{trial.number:03d}")]
        assert trial.value == pytest.approx(sum(float(row["value"]) for row in own) / 2)
        assert {float(row["gain"]) for row in own} == {trial.params["gain"]}
        assert 2.8 <= trial.params["gain"] <= 3.0
    best = max(trials(lab), key=lambda trial: trial.value)
    assert f"best of 2 trials: t{best.number:03d}" in capsys.readouterr().out
    flags = yaml.safe_load((lab.out / "best.yaml").read_text())
    assert flags == {"total_timesteps": 20, **best.params}


def test_a_killed_search_goes_on_with_its_trial_and_may_be_prolonged(lab, wait_for):
    slow = {"total_timesteps": 40, "pause": 0.05}
    lab.write(search=search(trials=1), arguments=slow, grid=None, seeds=[1])
    with lab.start() as process:
        wait_for((lab.out / "cells" / "t000-s1" / "checkpoint.json").exists)
        process.kill()
    (before,) = trials(lab)
    assert not before.state.is_finished()
    lab.write(search=search(trials=2), arguments=slow, grid=None, seeds=[1])
    assert lab.run() == 0
    first, second = trials(lab)
    assert first.params == before.params and first.state.name == second.state.name == "COMPLETE"
    assert lab.starts("t000-s1")[0] == 0 < lab.starts("t000-s1")[1]
    assert lab.run() == 0 and len(trials(lab)) == 2, "a finished search has nothing to do"


def test_a_trial_below_the_median_is_stopped(lab, monkeypatch):
    """The sixth run's sequence dies out, where the five before it (MedianPruner's start) do not."""
    draws = iter([3.0, 0.0] * 5 + [0.5, 0.3])
    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_independent", lambda *_: next(draws))
    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_relative", lambda *_: {})
    space = {"gain": {"choices": [3.0, 0.5]}, "pause": {"choices": [0.0, 0.3]}}
    lab.write(
        search=search(trials=6, space=space, prune=True, watch="quick/value"),
        arguments={"total_timesteps": 30},
        grid=None,
        seeds=[1],
    )
    assert lab.run() == 0
    ended = {trial.number: trial.state.name for trial in trials(lab)}
    assert ended == {**dict.fromkeys(range(5), "COMPLETE"), 5: "PRUNED"}
    assert lab.states()["t005-s1"]["state"] == "pruned"
    assert 0 < max(step for step, _ in watched(lab.out / "cells" / "t005-s1", "quick/value")) < 30
    assert len(lab.results()) == 5


def test_a_metric_that_no_run_has_is_named(lab):
    lab.write(search=search(metric="valeu", trials=1), grid=None, seeds=[1])
    with pytest.raises(UserError, match=r"'valeu' of the search .* has value, undefined"):
        lab.run()


def test_a_trial_takes_all_seeds(lab):
    lab.write(search=search(trials=1), grid=None)
    with pytest.raises(UserError, match="--first is for studies without a search"):
        lab.run("--first", "1")
    assert not lab.out.exists()


def test_examples_try_every_choice_and_both_ends():
    space = {"lr": Range(low=0.1, high=1.0), "kind": Range(choices=("a", "b", "c"))}
    assert list(examples(space)) == [
        {"lr": 0.1, "kind": "a"},
        {"lr": 1.0, "kind": "b"},
        {"lr": 1.0, "kind": "c"},
    ]


def test_watched_reads_both_tables_and_leaves_out_what_is_not_there(tmp_path):
    (tmp_path / "metrics.csv").write_text("global_step,a\n1,0.5\n2,\n3,0.75\n4")
    (tmp_path / "evaluations.csv").write_text("global_step,b\n2,7\n")
    assert list(watched(tmp_path, "a")) == [(1, 0.5), (3, 0.75)]
    assert list(watched(tmp_path, "b")) == [(2, 7.0)]
    assert list(watched(tmp_path, "c")) == []
