"""Jobs as processes on this machine: its cores and GPUs are shared out among the workers."""

import os
import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from rl_attn.errors import UserError
from rl_attn.studies.cell import Outcome, Share, run_job
from rl_attn.studies.plan import Job


class LocalExecutor:
    """`workers` jobs at once; use it in a `with` block."""

    def __init__(self, workers: int, gpus_per_run: float | None = None):
        shares = share_out(cores(), gpus(), workers, gpus_per_run)
        self.slots = workers
        self.directory = Path.cwd()
        self._free: SimpleQueue[Share] = SimpleQueue()
        for share in shares:
            self._free.put(share)
        # A job dies with the thread that started it: these threads last as long as the study.
        self._pool = ThreadPoolExecutor(workers, "job")

    def submit(self, job: Job) -> "Future[Outcome]":
        return self._pool.submit(self._run, job)

    def _run(self, job: Job) -> Outcome:
        share = self._free.get()
        try:
            return run_job(job, share, self.directory)
        except OSError as error:  # a full disk, a folder that is not writable
            return Outcome(1, f"{type(error).__name__}: {error}")
        finally:
            self._free.put(share)

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


def share_out(
    cores: list[int], gpus: list[str], workers: int, gpus_per_run: float | None = None
) -> list[Share]:
    """Each worker's cores and GPUs: as even as whole cores allow, shared where they are too few.

    Args:
        gpus_per_run: GPUs of one worker, or the share of one; None: all shared out evenly.
    """
    per_run = gpus_per_run if gpus_per_run is not None else max(1, len(gpus) // workers)
    if gpus_per_run is not None and gpus_per_run * workers > len(gpus):
        raise UserError(
            f"--workers {workers} x --gpus-per-run {gpus_per_run:g} is more than the "
            f"{len(gpus)} GPU(s) of this machine"
        )
    shares = []
    for i in range(workers):
        own = tuple(cores[i::workers]) or (cores[i % len(cores)],)
        taken: tuple[str, ...] | None = None  # without a GPU the variable stays as it is
        if gpus:
            first = int(i * per_run)
            taken = tuple(gpus[j % len(gpus)] for j in range(first, first + max(1, int(per_run))))
        shares.append(Share(len(own), own, taken))
    return shares


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES wants them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True)
    return answer.stdout.split() if answer.returncode == 0 else []
