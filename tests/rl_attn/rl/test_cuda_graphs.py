"""Captured steps are the eager ones, and nothing between two of them waits for the device."""

from pathlib import Path

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from rl_attn import ppo
from rl_attn.errors import UserError
from rl_attn.rl.cuda_graphs import Captured, tensors
from rl_attn.rl.settings import args_type
from rl_attn.rl.trainer import Trainer
from rl_attn.run.cli import parse

RECALL = str(Path(__file__).parents[1] / "outside" / "recall.py")
FLAGS = ["--import", RECALL, "--env", "Recall-v0", "--no-env-processes", "--network", "impoola"]
FLAGS += ["--width-scale", "0.25", "--num-envs", "2", "--num-steps", "8", "--num-minibatches", "2"]
FLAGS += ["--update-epochs", "2", "--frame-stack", "2"]


def trainer(*flags: str, device: str = "cpu") -> Trainer:
    words = [*FLAGS, *flags]
    made = Trainer(parse(args_type(words), words, ""), torch.device(device), "fp32")
    made.start()
    return made


def rerun(function, generators):
    """Stands for a graph: the function writes into the places of its first outputs."""
    outputs = function()

    def replay():
        for place, value in zip(tensors(outputs), tensors(function()), strict=True):
            place.copy_(value)

    return outputs, replay


def learned(capture, *flags: str, device: str = "cpu") -> tuple[list[dict], list[torch.Tensor]]:
    """What two updates log, and the weights after them; capture None: eager."""
    with trainer(*flags, device=device) as one:
        if capture is not None:
            one.learner.captured = capture(one.learner)
        logged = []
        for _ in range(2):
            one.rollout()
            logged.append(one.update())
            one.storage.roll()
        return logged, [parameter.detach().cpu() for parameter in one.agent.parameters()]


@pytest.mark.parametrize(
    "flags",
    [
        ["--camal", "0"],
        ["--separate-clipping"],
        ["--recurrent", "gru", "--attention-target", "action"],
    ],
    ids=" ".join,
)
def test_replayed_steps_are_the_eager_ones(flags):
    def capture(learner):
        return Captured(learner.differentiate, capture=rerun)

    (eager, weights), (replayed, others) = learned(None, *flags), learned(capture, *flags)
    for one, other in zip(eager, replayed, strict=True):
        assert one == pytest.approx(other, abs=0, rel=0, nan_ok=True)
    assert all(torch.equal(one, other) for one, other in zip(weights, others, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("camal", ["0", "1"])
def test_a_cuda_graph_makes_the_same_update_to_rounding(camal):
    flags = ("--camal", camal, "--no-anneal-lr")
    (eager, weights) = learned(None, *flags, device="cuda")
    (graph, others) = learned(lambda x: Captured(x.differentiate), *flags, device="cuda")
    assert graph[0] == pytest.approx(eager[0], rel=1e-3, abs=1e-4, nan_ok=True)
    for one, other in zip(weights, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_batch_of_another_shape_is_refused():
    double = Captured(lambda batch: {"twice": 2 * batch["x"]}, capture=rerun)
    assert double({"x": torch.ones(2)})["twice"].tolist() == [2, 2]
    assert double({"x": torch.full((2,), 3.0)})["twice"].tolist() == [6, 6]
    with pytest.raises(ValueError, match=r"captured with a tensor \(2,\), called with .*\(1,\)"):
        double({"x": torch.ones(1)})


# ---------------------------------------------------------------------- waiting for the device


class Waits(TorchFunctionMode):
    """Counts what would wait for a GPU: every copy to the CPU that Python asks for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.count += getattr(function, "__name__", "") in ("cpu", "tolist")
        return function(*args, **(kwargs or {}))


class Reads(TorchDispatchMode):
    """Counts operations that need a value before they can go on, wherever they are asked for:
    `item()`, `if tensor`, and shapes that depend on values."""

    NAMES = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        chosen = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        self.count += chosen or name in self.NAMES
        return function(*args, **(kwargs or {}))


def counted(work) -> int:
    with Waits() as waits, Reads() as reads:
        work()
    return waits.count + reads.count


def test_what_waits_is_counted():
    ones = torch.ones(3)
    for work in (
        *(lambda: ones.sum().item(), lambda: bool(ones[0] > 0), lambda: ones.cpu().numpy()),
        *(lambda: ones[ones > 0], lambda: ones.nonzero(), lambda: float(ones[0])),
    ):
        assert counted(work) == 1
    assert counted(lambda: ones[torch.tensor([0, 1])] + ones.mean()) == 0


@pytest.mark.parametrize("camal", ["0", "1"])
def test_a_rollout_waits_for_its_actions_alone_and_mini_batches_for_nothing(camal):
    with trainer("--camal", camal) as one:
        assert counted(one.rollout) == 8  # the environments need a step's actions
        counts = []
        for epochs in (1, 3):
            one.args.update_epochs = epochs
            counts.append(counted(one.update))
    assert counts[0] == counts[1]


# ---------------------------------------------------------------------- refusals


def test_graphs_are_refused_on_a_cpu_before_there_is_a_folder(tmp_path):
    flags = [*FLAGS, "--cuda-graphs", "--device", "cpu", "--run-dir", str(tmp_path / "run")]
    with pytest.raises(UserError, match="--cuda-graphs needs a GPU, and this run is on cpu"):
        ppo.main(flags)
    assert not (tmp_path / "run").exists()


def test_graphs_are_refused_for_a_method_that_may_change_under_them():
    with pytest.raises(UserError, match="--cuda-graphs: the loss of --method rad may depend"):
        ppo.main([*FLAGS, "--cuda-graphs", "--method", "rad"])
