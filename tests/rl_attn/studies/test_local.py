"""Cores and GPUs shared out among workers."""

import pytest

from rl_attn.errors import UserError
from rl_attn.studies.cell import THREAD_VARIABLES, Share
from rl_attn.studies.local import LocalExecutor, gpus, share_out
from rl_attn.studies.plan import Command, Job


def test_cores_are_shared_out_evenly_and_completely():
    shares = share_out(list(range(10, 17)), [], workers=3)
    assert [share.cores for share in shares] == [(10, 13, 16), (11, 14), (12, 15)]
    assert [share.threads for share in shares] == [3, 2, 2]


def test_more_workers_than_cores_share_them():
    shares = share_out([0, 1], [], workers=5)
    assert [share.cores for share in shares] == [(0,), (1,), (0,), (1,), (0,)]
    assert {share.threads for share in shares} == {1}


def test_gpus_are_shared_out_whole_or_in_parts():
    def names(gpus, workers, per_run=None):
        return [share.gpus for share in share_out([0], gpus, workers, per_run)]

    assert names([], 2) == [None, None]
    assert names(["0", "1", "2", "3"], 2) == [("0", "1"), ("2", "3")]
    assert names(["4", "7"], 2) == [("4",), ("7",)]
    assert names(["4", "7"], 3) == [("4",), ("7",), ("4",)]
    assert names(["4", "7"], 4, 0.5) == [("4",), ("4",), ("7",), ("7",)]
    assert names(["4", "7"], 1, 2) == [("4", "7")]
    with pytest.raises(UserError, match=r"--workers 5 x --gpus-per-run 0.5 .* 2 GPU"):
        share_out([0], ["4", "7"], 5, 0.5)


def test_the_environment_limits_threads_and_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert gpus() == ["4", "7"]
    environment = Share(threads=3, gpus=("7",)).environment()
    assert {environment[name] for name in THREAD_VARIABLES} == {"3"}
    assert environment["CUDA_VISIBLE_DEVICES"] == "7"
    assert Share().environment()["CUDA_VISIBLE_DEVICES"] == "4,7"


def test_a_process_gets_its_cores_and_threads(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "tell.py").write_text(
        "import os; print(os.environ['OMP_NUM_THREADS'], sorted(os.sched_getaffinity(0)))"
    )
    monkeypatch.setattr("rl_attn.studies.local.cores", lambda: [0, 0])  # two of every machine's one
    job = Job("told", tmp_path / "cells" / "told", Command("tell", ()))
    with LocalExecutor(workers=1) as executor:
        assert executor.submit(job).result().status == 0
    assert job.log.read_text().splitlines() == ["$ python -m tell", "2 [0]"]
