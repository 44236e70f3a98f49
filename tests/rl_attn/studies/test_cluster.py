"""Studies on a Ray cluster of two nodes, both on this machine."""

import os
import threading

import pytest

from rl_attn.errors import UserError

# Before Ray is imported: `uv run pytest` shall not have workers started through uv.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'rl-attn[cluster]'")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture
def cluster(quick_commands):
    """A head without room for jobs; nodes are added by the test."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=0, **NODE)
        yield cluster
    finally:
        cluster.shutdown()


def test_jobs_of_a_lost_node_resume_on_the_other(lab, wait_for, cluster):
    nodes = [cluster.add_node(num_cpus=1, **NODE) for _ in range(2)]
    with pytest.raises(UserError, match=r"room for a run: it needs .*'CPU': 64"):
        lab.run("--ray", cluster.address, "--cpus-per-run", "64", out=lab.folder / "never")
    assert not lab.starts()
    lab.write(arguments={"total_timesteps": 60, "pause": 0.1})

    def halfway() -> bool:
        """Both nodes have a run that got past a checkpoint and is not near its end."""
        return len(list(lab.out.glob("cells/*/checkpoint.json"))) == 2

    def lose_a_node() -> None:
        wait_for(halfway, seconds=120)
        cluster.remove_node(nodes[0], allow_graceful=False)

    killer = threading.Thread(target=lose_a_node)
    killer.start()
    status = lab.run("--ray", cluster.address)
    killer.join()
    assert status == 0
    states = lab.states()
    assert {entry["state"] for entry in states.values()} == {"finished"}
    assert sorted(entry["attempts"] for entry in states.values()) == [1, 1, 1, 2]
    (lost,) = [name for name, entry in states.items() if entry["attempts"] == 2]
    first, second = lab.starts(lost)
    assert first == 0 and second > 0, "it was restarted, not resumed"
    lab.write(arguments={"total_timesteps": 60})
    here = lab.folder / "here"
    assert lab.run("--workers", "2", out=here) == 0
    assert (here / "results.csv").read_bytes() == (lab.out / "results.csv").read_bytes()


def test_no_cluster_at_the_address(lab):
    with pytest.raises(UserError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 "):
        lab.run("--ray", "127.0.0.1:1")
