"""Weights & Biases in its offline mode: nothing leaves the machine."""

import pytest
from torch.utils.tensorboard import SummaryWriter

from rl_attn import ppo
from rl_attn.errors import UserError
from rl_attn.run.track import check_tracking, tracked

wandb = pytest.importorskip("wandb")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))


@pytest.mark.slow
def test_a_run_is_mirrored_and_a_resumed_one_goes_on_in_it(tmp_path, offline):
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    check_tracking()
    for step in (1, 2):
        with tracked(run, {"camal": 1.0}):
            board = SummaryWriter(str(run))
            board.add_scalar("loss", 0.5, step)
            board.close()
    kept = (run / "wandb.txt").read_text()
    mirrored = list((tmp_path / "runs" / "wandb").glob(f"offline-run-*-{kept}"))
    assert mirrored and all(list(folder.glob("run-*.wandb")) for folder in mirrored)
    assert not (run / "wandb").exists()  # W&B would copy its own copies of the events


@pytest.mark.slow
def test_track_of_ppo_mirrors_a_new_run(tiny, tmp_path, offline):
    run = tmp_path / "runs" / "run"
    assert ppo.main([*tiny, "--total-timesteps", "32", "--track", "--run-dir", str(run)]) == 0
    kept = (run / "wandb.txt").read_text()
    (mirrored,) = (tmp_path / "runs" / "wandb").glob(f"offline-run-*-{kept}")
    assert list(mirrored.glob("run-*.wandb")) and (run / "metrics.csv").exists()


def test_without_a_login_it_fails_in_one_line_before_anything_is_made(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", lambda **how: False)
    with pytest.raises(UserError, match="run `wandb login`, or set WANDB_MODE=offline") as error:
        check_tracking()
    assert "\n" not in str(error.value)
