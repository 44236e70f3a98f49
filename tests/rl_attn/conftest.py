"""A tiny trained run that several tests look at, and a browser."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_attn import ppo

sys.path.insert(0, str(Path(__file__).parent / "outside"))  # tests import `corridor`
sys.path.insert(0, str(Path(__file__).parent))  # and `two_squares`

TINY = [
    *("--num-envs", "2", "--num-steps", "16", "--num-minibatches", "2", "--update-epochs", "2"),
    *("--checkpoint-interval", "1", "--keep-checkpoints", "0"),
    *("--device", "cpu", "--precision", "fp32", "--frame-size", "80x60", "--width-scale", "0.25"),
]


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Flags that make a run small: an update is 32 steps."""
    return TINY


class Interruption(BaseException):
    """Stands for whatever ends a process without asking."""


@pytest.fixture
def break_off(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """break_off(argv, Trainer, "update", 3): training ends unasked once that method has been
    called three times."""

    def train(argv: list[str], owner: type, name: str, calls: int) -> None:
        original, left = getattr(owner, name), iter(range(calls))

        def interrupt(self, *rest):
            if next(left, None) is None:
                raise Interruption
            return original(self, *rest)

        with monkeypatch.context() as patched, pytest.raises(Interruption):
            patched.setattr(owner, name, interrupt)
            ppo.main(argv)

    return train


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 4 updates with CAMAL."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    status = ppo.main([*TINY, "--total-timesteps", "128", "--run-dir", str(run)])
    assert status == 0
    return run


FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--autoplay-policy=no-user-gesture-required"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium without a window, that logs what it complains of and what it fetches."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("needs Debian's chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()
