"""How many runs a cluster has room for, and what a lost task becomes; without a cluster."""

from types import SimpleNamespace

import pytest

from rl_attn.errors import UserError
from rl_attn.studies import cluster
from rl_attn.studies.cell import Outcome
from rl_attn.studies.plan import Command, Job


class RayError(Exception):
    pass


def fake_ray(nodes: list[dict], result=None):
    """What the executor uses of Ray: nodes with their resources, and tasks that end in `result`."""

    def get(_):
        if isinstance(result, Exception):
            raise result
        return result

    totals = {}
    for node in nodes:
        for name, amount in node["Resources"].items():
            totals[name] = totals.get(name, 0) + amount
    return SimpleNamespace(
        nodes=lambda: nodes,
        cluster_resources=lambda: totals,
        remote=lambda **_: lambda _: SimpleNamespace(remote=lambda *_: None),
        get=get,
        shutdown=lambda: None,
        exceptions=SimpleNamespace(RayError=RayError),
    )


def node(cpus: float, gpus: float = 0, alive: bool = True) -> dict:
    return {"Alive": alive, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


def executor(monkeypatch, nodes, result=None, **needs) -> cluster.RayExecutor:
    monkeypatch.setattr(cluster, "_connect", lambda _: fake_ray(nodes, result))
    return cluster.RayExecutor("auto", **needs)


def test_room_is_counted_node_by_node_among_the_living(monkeypatch):
    nodes = [node(7), node(3), node(8, alive=False)]
    assert executor(monkeypatch, nodes, cpus=2).slots == 3 + 1
    assert executor(monkeypatch, nodes, cpus=2, at_most=2).slots == 2


def test_gpus_are_needed_where_there_are_any_and_may_be_shared(monkeypatch):
    nodes = [node(16, 2), node(16)]
    assert executor(monkeypatch, nodes).slots == 2
    assert executor(monkeypatch, nodes, gpus=0.5).slots == 4
    assert executor(monkeypatch, nodes, gpus=0).slots == 32


def test_a_run_that_fits_nowhere_is_refused(monkeypatch):
    with pytest.raises(UserError, match=r"it needs .*'CPU': 5.* the cluster has .*'CPU': 8"):
        executor(monkeypatch, [node(4), node(4)], cpus=5)


def test_a_lost_task_is_a_failure_that_is_retried(monkeypatch, tmp_path):
    job = Job("x", tmp_path / "x", Command("quick_run", ()))
    lost = RayError("\nThe node is gone.\nMore of it")
    with executor(monkeypatch, [node(1)], lost) as gone:
        outcome = gone.submit(job).result()
    assert outcome == Outcome(cluster.LOST, "RayError: The node is gone.")
    with executor(monkeypatch, [node(1)], Outcome(0)) as fine:
        assert fine.submit(job).result() == Outcome(0)
