import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_lightnings_loop_joins_in_where_it_is_installed(monkeypatch):
    import supervised_epoch

    args = supervised_epoch.EpochSettings()
    for there in (True, False):
        monkeypatch.setattr(supervised_epoch, "find_spec", lambda name, there=there: there or None)
        names = [entry.name for entry in supervised_epoch.entries(args)]
        assert ("Lightning's loop" in names) == there
        assert names[:2] == ["straightforward loop", "supervised.train"]
    args.seeds = True
    assert len(supervised_epoch.entries(args)) == 2


def test_convolutions_alone_are_those_of_autograd(benchmark, monkeypatch):
    classifiers = benchmark("classifiers")
    settings = benchmark("workload").Classifiers(batch_size=2, threads=1)
    contender = classifiers.ConvolutionsAlone(settings)
    model, first = contender.model, contender.first.detach().requires_grad_()
    hidden = F.max_pool2d(F.conv2d(contender.x, first, model.conv1.bias), 2)
    out = F.max_pool2d(model.conv2(hidden), 2)
    # Its own gradient, as if of half the sum of squares: what the contender sends back.
    hidden_grad, *_ = torch.autograd.grad((out**2).sum() / 2, [hidden, first])
    found = []
    backward = classifiers._convolution_backward

    def keep(*args, **how):
        found.append(backward(*args, **how))
        return found[-1]

    monkeypatch.setattr(classifiers, "_convolution_backward", keep)
    assert contender.run(1) == classifiers.parameters_of(model)
    assert torch.equal(found[0], hidden_grad) and found[1] is None
