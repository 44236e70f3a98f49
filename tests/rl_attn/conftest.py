"""A tiny trained run that several tests look at."""

import sys
from pathlib import Path

import pytest

from rl_attn import ppo

sys.path.insert(0, str(Path(__file__).parent / "outside"))  # tests import `corridor`

TINY = [
    *("--num-envs", "2", "--num-steps", "16", "--num-minibatches", "2", "--update-epochs", "2"),
    *("--checkpoint-interval", "1", "--keep-checkpoints", "100"),
    *("--device", "cpu", "--precision", "fp32", "--frame-size", "80x60"),
]


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Flags that make a run small: an update is 32 steps."""
    return TINY


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 4 updates with CAMAL."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    status = ppo.main([*TINY, "--total-timesteps", "128", "--run-dir", str(run)])
    assert status == 0
    return run
