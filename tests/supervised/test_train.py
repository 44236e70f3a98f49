"""The command from end to end: what a run leaves, how it resumes, how it fails."""

import json
import signal

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from trainers import flags_of

from rl_attn.errors import NOT_FINITE, UserError
from rl_attn.run.cli import parse
from rl_attn.supervised import train
from rl_attn.supervised.loop import Trainer
from rl_attn.supervised.settings import args_type
from rl_attn.supervised.setup import read_data


@pytest.fixture
def flags(toy, tmp_path) -> list[str]:
    return flags_of("camal", epochs=3, run_dir=tmp_path / "run")


def test_a_run_leaves_what_readers_expect(flags, tmp_path, capsys):
    assert train.main(flags) == 0
    run = tmp_path / "run"
    assert capsys.readouterr().out.count("weights: none") == 1
    result = json.loads((run / "evaluation.json").read_text())
    summary, confused = result["summary"], result["confusion"]
    wanted = "accuracy worst_group_accuracy iou iou_ceiling energy_inside pointing_game alpha beta"
    wanted += " balanced_accuracy sensitivity specificity auroc average_precision calibration_error"
    assert confused["classes"] == ["a", "b", "c"]
    for name, split in (("test", "accuracy"), ("test-iid", "test-iid/accuracy")):
        matrix = np.array(confused[name])
        assert matrix.sum() == {"test": 24, "test-iid": 12}[name]
        assert summary[split]["mean"] == pytest.approx(np.trace(matrix) / matrix.sum())
    for prefix in ("", "test-iid/"):
        assert {prefix + name for name in wanted.split()} <= set(summary)
    assert all(v["low"] == v["mean"] == v["high"] for v in summary.values())
    lines = (run / "metrics.csv").read_text().splitlines()
    assert lines[0].startswith("global_step,losses/total") and len(lines) == 4
    assert [int(line.split(",")[0]) for line in lines[1:]] == [3, 6, 9]
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["method"] == "camal" and config["weight"] == 1.0  # flat
    assert Image.open(run / "attention" / "before_after.png").width > 400
    assert (
        list(run.glob("events.out.tfevents.*")) and len(list((run / "checkpoints").iterdir())) == 1
    )
    assert not list(run.rglob(".*"))  # nothing half written
    assert train.main(["--resume", str(run)]) == 0  # finished already


def test_what_comparisons_need_of_a_run(toy, tmp_path):
    """Numbers behind the pictures, curves where asked for, and the Optim Value."""
    flags = flags_of("learning-to-look", epochs=4, run_dir=tmp_path / "run")
    flags += ["--attention-epochs", "1", "--selection", "optim-value"]
    assert train.main([*flags, "--faithfulness", "1"]) == 0
    run = tmp_path / "run"
    summary = json.loads((run / "evaluation.json").read_text())["summary"]
    rows = pd.read_csv(run / "metrics.csv")
    optim = rows["validation/accuracy"] * (1 - rows["validation/attention/loss"])
    assert summary["selection_score"]["mean"] == pytest.approx(optim[1:].max(), abs=1e-5)
    assert rows["charts/epochs"].tolist() == [1, 2, 3, 4]
    curves = pd.read_csv(run / "faithfulness.csv")
    area = np.trapezoid(curves["deletion"], curves["share"])
    assert summary["deletion_area"]["mean"] == pytest.approx(area, abs=1e-5)
    with np.load(run / "attention" / "sample.npz") as sample:
        assert sample["frames"].shape == (3, 28, 28, 1) and sample["frames"].dtype == np.uint8
        assert sample["attention"].shape == sample["masks"].shape == (3, 28, 28)
    with np.load(run / "attention" / "variance.npz") as moments:
        assert moments["count"] == 24 and moments["variance"].shape == (28, 28)


def test_its_config_runs_again_alike(flags, tmp_path):
    train.main([*flags, "--weight", "2"])
    config, again = tmp_path / "run" / "config.yaml", tmp_path / "again"
    train.main(["--config", str(config), "--run-dir", str(again)])
    first, second = ((p / "evaluation.json").read_text() for p in (tmp_path / "run", again))
    assert first == second
    assert yaml.safe_load((again / "config.yaml").read_text())["weight"] == 2


@pytest.mark.parametrize("method", ["learning-to-look", "res-l"])
def test_an_interrupted_run_ends_the_same_to_the_bit(toy, tmp_path, monkeypatch, method):
    """Stopped within the second epoch by a signal, and resumed."""
    flags = flags_of(method, epochs=3, crop="random", flip=True)
    if method == "learning-to-look":
        flags += ["--attention-epochs", "1"]  # to reach its second phase
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train.main([*flags, "--run-dir", str(whole)]) == 0
    update = Trainer.update

    def interrupted(self: Trainer, draws) -> None:
        update(self, draws)
        if self.global_step == 4:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", interrupted)
        assert train.main([*flags, "--run-dir", str(parts)]) == 128 + signal.SIGTERM
    assert not (parts / "evaluation.json").exists()
    assert train.main(["--resume", str(parts)]) == 0
    states = [
        torch.load(p / "checkpoints" / "step_000000009.pt", weights_only=True)
        for p in (whole, parts)
    ]
    flat = [torch.cat([v.flatten() for v in state["model"].values()]) for state in states]
    assert torch.equal(*flat)
    assert (whole / "evaluation.json").read_text() == (parts / "evaluation.json").read_text()
    rows = [(p / "metrics.csv").read_text().splitlines() for p in (whole, parts)]
    assert [r.rsplit(",", 1)[0] for r in rows[0]] == [r.rsplit(",", 1)[0] for r in rows[1]]


@pytest.mark.parametrize("reuse", [True, False])
def test_vapl_resumes_with_the_confidences_that_it_remembers(toy, tmp_path, monkeypatch, reuse):
    """On pictures that stay alike: both models' results are those of an uninterrupted run."""
    flags = flags_of("vapl", epochs=4, train_pictures=20)
    flags += ["--reuse-scores" if reuse else "--no-reuse-scores"]
    flags += [
        "--perturbed-masks",
        "8",
        "--cells",
        "4",
        "--model-passes",
        "2",
        "--weight-passes",
        "1",
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train.main([*flags, "--run-dir", str(whole)]) == 0
    update = Trainer.update

    def interrupted(self: Trainer, draws) -> None:
        update(self, draws)
        if self.global_step == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", interrupted)
        assert train.main([*flags, "--run-dir", str(parts)]) == 128 + signal.SIGTERM
    assert train.main(["--resume", str(parts)]) == 0
    results = [(p / "evaluation.json").read_text() for p in (whole, parts)]
    assert results[0] == results[1]
    summary = json.loads(results[0])["summary"]
    for who in ("", "prompted_", "test-iid/prompted_"):
        for name in ("accuracy", "precision", "recall", "f1"):
            assert 0 <= summary[who + name]["mean"] <= 1


def test_fewer_training_pictures_of_every_class_drawn_by_the_seed(toy):
    def drawn(seed: int) -> torch.Tensor:
        argv = ["--data", "toy", "--train-pictures", "12", "--seed", str(seed)]
        read = read_data(parse(args_type(argv), argv, "train"))
        assert len(read.own.splits["validation"]) == len(toy.splits["validation"])
        assert torch.equal(read.own.splits["train"].images, read.taught.splits["train"].images)
        return read.own.splits["train"]

    first, again, other = (drawn(seed) for seed in (1, 1, 2))
    assert torch.bincount(first.labels).tolist() == [4, 4, 4]
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)


def test_several_seeds_at_once_give_means_and_ranges(flags, tmp_path):
    assert train.main([*flags, "--ensemble", "2"]) == 0
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    values = [run["iou"] for run in result["runs"]]
    assert [run["seed"] for run in result["runs"]] == [1, 2]
    assert result["summary"]["iou"] == {
        "mean": pytest.approx(np.mean(values)),
        "low": min(values),
        "high": max(values),
    }


def test_folds_and_masks_from_a_folder(flags, toy, tmp_path):
    for name in ("train", "validation"):
        np.save(tmp_path / f"{name}.npy", toy.splits[name].masks.flip(-1).numpy())
    assert train.main([*flags, "--masks", str(tmp_path)]) == 0
    other = flags_of("camal", epochs=1, run_dir=tmp_path / "fold")
    assert train.main([*other, "--fold", "1", "--folds", "4"]) == 0


def test_a_fold_deals_the_masks_of_a_folder_with_their_pictures(toy, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    argv = [*("--data", "toy", "--fold", "1", "--folds", "4", "--masks", str(folder))]
    args = parse(args_type(argv), argv, "train")
    for name in toy.pool[:-1]:
        np.save(folder / f"{name}.npy", 255 - toy.splits[name].masks.numpy())
    with pytest.raises(UserError, match=f"{toy.pool[-1]}.npy"):  # its pictures are trained on too
        read_data(args)
    np.save(folder / f"{toy.pool[-1]}.npy", 255 - toy.splits[toy.pool[-1]].masks.numpy())
    own, taught = read_data(args)
    for name in ("train", "validation"):
        torch.testing.assert_close(taught.splits[name].images, own.splits[name].images)
        torch.testing.assert_close(taught.splits[name].masks, 255 - own.splits[name].masks)


def test_a_loss_that_is_no_number_stops_the_run(flags, capsys):
    assert train.main([*flags, "--learning-rate", "1e30"]) == NOT_FINITE
    assert "--learning-rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "camall"], "did you mean camal"),
        (["--data", "toyy"], "did you mean toy"),
        (["--backbone", "lenett"], "did you mean lenet"),
        (["--layer", "conv9"], "conv2"),
        (["--weights", "imagenet"], "no ImageNet weights for lenet"),
        (["--data-options", "masked"], "key=value"),
        (["--data-options", "mask=3"], "masked"),
        (["--data-options", "masked=false"], "needs masks"),
        (["--masks", "nowhere"], "neither nowhere/train.npy nor a folder nowhere/train exists"),
        (["--epochs", "0"], "--epochs must be positive"),
        (["--train-pictures", "47"], "choose from 3 to 45 of the 48"),
        (["--select-on", "vali"], "validation"),
        (["--select-every", "5"], "take --select accuracy"),
        (["--select-every", "-1"], "--select-every must be 0 or more"),
        (["--method", "rrr", "--weight", "-1"], "--weight must be 0 or more"),
        (["--method", "vapl", "--lambda-activations", "-1"], "--lambda-activations must be 0 or"),
        (["--backbone", "rrr-mlp"], "needs feature maps"),
        (["--size", "8"], "does not take pictures"),
        (["--fold", "9", "--folds", "4"], "choose from 0 to 3"),
        (["--ensemble", "2", "--backbone", "resnet18"], "small backbone"),
        (["--ensemble", "2", "--faithfulness", "1"], "leave one of them out"),
        (["--faithfulness", "-1"], "--faithfulness must be 0 or more"),
    ],
)
def test_mistakes_are_named_before_anything_starts(flags, tmp_path, more, message):
    with pytest.raises(UserError, match=message):
        train.main([*flags, *more])
    assert not (tmp_path / "run").exists()


def test_the_method_s_own_flags_are_in_the_help(capsys):
    with pytest.raises(SystemExit):
        train.main(["--method", "learning-to-look", "--help"])
    text = capsys.readouterr().out
    assert "--attention-epochs" in text and "E_attn" in text
