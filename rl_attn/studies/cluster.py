"""Jobs as tasks of a Ray cluster (extra `cluster`).

A task does what a worker here does: it starts or resumes the run in the job's folder. A task whose
node is lost ends with a failure like any other, so the study starts it again elsewhere and it
resumes from its checkpoint. This needs the study's folder on storage that all nodes share, and the
package installed on all of them.
"""

import logging
import os
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError, one_line
from rl_attn.studies.cell import Outcome, Share, run_job
from rl_attn.studies.plan import Job

#: Exit status that stands for a task whose process or node is gone.
LOST = 1


class RayExecutor:
    """As many jobs at once as the cluster has room for; use it in a `with` block.

    Args:
        address: "auto" for the cluster of this machine or of RAY_ADDRESS, or a head node's address.
        cpus: cores that a run reserves; its threads are limited to them.
        gpus: GPUs of a run or the share of one; None: one where the cluster has any.
        at_most: never more jobs than this at once.
    """

    def __init__(
        self, address: str, cpus: float = 1, gpus: float | None = None, at_most: int | None = None
    ):
        self.ray = _connect(address)
        resources = self.ray.cluster_resources()
        if gpus is None:
            gpus = 1.0 if resources.get("GPU") else 0.0
        self.needs = {"CPU": cpus, "GPU": gpus}
        self.at_most, self.directory = at_most, Path.cwd()
        if self.slots < 1:
            has = {name: resources.get(name, 0) for name in self.needs}
            self.ray.shutdown()
            raise UserError(
                f"no node of the Ray cluster at {address} can have room for a run: it needs "
                f"{self.needs} (--cpus-per-run, --gpus-per-run), the cluster has {has}"
            )
        share = Share(threads=max(1, int(cpus)))
        # The study retries by itself, so that it can count the attempts and tell of them.
        task = self.ray.remote(max_retries=0, num_cpus=cpus, num_gpus=gpus)(run_job)
        self._start = lambda job: task.remote(job, share, self.directory)
        self._pool = ThreadPoolExecutor(1024, "job")  # threads that wait, each for one task

    @property
    def slots(self) -> int:
        """How many runs the living nodes have room for."""
        room = sum(
            int(min(node["Resources"].get(name, 0) / need for name, need in self._needed()))
            for node in self.ray.nodes()
            if node["Alive"]
        )
        return room if self.at_most is None else min(room, self.at_most)

    def _needed(self) -> list[tuple[str, float]]:
        return [(name, need) for name, need in self.needs.items() if need]

    def submit(self, job: Job) -> "Future[Outcome]":
        return self._pool.submit(self._run, job)

    def _run(self, job: Job) -> Outcome:
        try:
            return self.ray.get(self._start(job))
        except self.ray.exceptions.RayError as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), "")
            return Outcome(LOST, f"{type(error).__name__}: {reason.strip()}")

    def __enter__(self) -> "RayExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self.ray.shutdown()


def _connect(address: str) -> Any:
    """The module ray, connected to a cluster."""
    # Ray would wrap every worker's start in `uv run` where the study was started by it.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError:
        raise UserError("--ray needs Ray: pip install 'rl-attn[cluster]'") from None
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:  # ConnectionError is an OSError
        reason = one_line(error)[:200]
        raise UserError(
            f"no Ray cluster answers at {address} ({reason}): start one with `ray start --head`, "
            "or give its address"
        ) from None
    return ray


def _knock(address: str) -> None:
    """OSError or ValueError if nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()
