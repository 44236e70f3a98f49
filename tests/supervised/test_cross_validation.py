"""All folds by one flag: each is the run that it is alone, and the table is of all of them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from trainers import flags_of

from rl_attn.errors import UserError
from rl_attn.statistics import resampled_interval
from rl_attn.supervised import cross_validation, train


@pytest.fixture
def flags(toy, tmp_path) -> list[str]:
    argv = flags_of("vanilla", epochs=1, size=20, run_dir=tmp_path / "run")
    return [*argv, "--folds", "3", "--picture-interval", "0"]


def numbers(run: Path) -> dict[str, float]:
    summary = json.loads((run / "evaluation.json").read_text())["summary"]
    return {name: value["mean"] for name, value in summary.items()}


def test_every_fold_is_run_and_summed_up_and_goes_on_after_an_end(
    flags, tmp_path, monkeypatch, capsys
):
    run, real, begun = tmp_path / "run", cross_validation.start, []

    def once(args, place, resumed):
        begun.append((args.fold, args.seed, resumed))
        return real(args, place, resumed) if len(begun) != 2 else 130

    monkeypatch.setattr(cross_validation, "start", once)
    assert train.main(flags) == 130  # as of Ctrl-C
    assert f"with --run-dir {run} goes on" in capsys.readouterr().out
    assert train.main(flags) == 0
    assert begun == [(0, 1, False), (1, 2, False), (1, 2, False), (2, 3, False)]
    folds = pd.read_csv(run / "folds.csv")
    for k in range(3):
        assert folds.loc[k, "accuracy"] == pytest.approx(numbers(run / f"fold-{k}")["accuracy"])
    table = pd.read_csv(run / "cross_validation.csv").set_index("metric")
    expected = resampled_interval(folds["accuracy"], 1)  # trained on one third, tested on another
    assert table.loc["accuracy"].tolist() == pytest.approx(list(expected))
    assert "test, 3 folds" in capsys.readouterr().out
    alone = [*flags, "--fold", "1", "--seed", "2", "--run-dir", str(tmp_path / "alone")]
    assert train.main(alone) == 0
    assert numbers(tmp_path / "alone") == numbers(run / "fold-1")
    with pytest.raises(UserError, match="fold-0 was begun with another batch_size: name another"):
        train.main([*flags, "--batch-size", "8"])


def test_the_interval_allows_for_the_folds_overlap():
    """A variance of 0.01, (1/3 + 1/2) of it, and t of two degrees of freedom, 4.3027."""
    mean, low, high = resampled_interval([0.7, 0.8, 0.9], 1 / 2)
    half = 4.3027 * ((1 / 3 + 1 / 2) * 0.01) ** 0.5
    assert (mean, low, high) == pytest.approx((0.8, 0.8 - half, 0.8 + half), abs=1e-5)
    mean, low, high = resampled_interval([0.7, float("nan")], 1 / 2)
    assert mean == 0.7 and low != low and high != high
