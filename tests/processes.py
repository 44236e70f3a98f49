"""Commands as processes that do not have to import torch: forks of one process that has.

    process = Command("rl_attn.ppo", "--resume", run)
    process.send_signal(signal.SIGINT)
    assert process.finish() == 130 and "stopped at step" in process.output

Each is in a session of its own and is the command as `python -m` runs it, with its exit status.
"""

import os
import runpy
import sys
import tempfile
import traceback
from multiprocessing import get_context, set_start_method
from pathlib import Path

#: Its processes are forks of one that has imported these.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "gymnasium", "sklearn.datasets", "tyro", "yaml"])
ROOT = Path(__file__).parents[1]


class Command:
    """A running `python -m module *words` in the root of the repository."""

    def __init__(self, module: str, *words: object, env: dict[str, str] | None = None):
        self._said = Path(tempfile.mkstemp(prefix="command-")[1])
        argv = [module, *map(str, words)]
        values = {**os.environ, **(env or {})}
        self._process = CONTEXT.Process(target=_become, args=(argv, values, self._said))
        self._process.start()
        self.pid = self._process.pid

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        return self._process.exitcode

    @property
    def output(self) -> str:
        """What it has written so far, to standard output and error."""
        return self._said.read_text()

    def finish(self, seconds: float = 200) -> int:
        """Wait for its end; its exit status, or minus the signal that ended it."""
        self._process.join(seconds)
        assert self.poll() is not None, f"still running: {self.output}"
        return self._process.exitcode

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._said.unlink()


def _become(argv: list[str], env: dict[str, str], said: Path) -> None:
    os.setsid()
    set_start_method(None, force=True)  # what it starts itself, it starts as by default
    for number in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    sys.argv = argv
    try:
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
