"""The benchmark of attribution: its contenders make the same map, and its command a table."""

import json
import sys

import pytest
import torch
from torchvision.models import ResNet, SwinTransformer, VisionTransformer
from torchvision.models.resnet import BasicBlock

from rl_attn.errors import UserError


@pytest.fixture(scope="module")
def steps(benchmark):
    """The module of the contenders, imported as the benchmark's processes import it."""
    return benchmark("attribution_steps")


def vit():
    model = VisionTransformer(32, 8, 2, 2, 16, 16, num_classes=10)
    torch.nn.init.normal_(model.heads.head.weight)
    return model


def swin():
    sizes = ([4, 4], 8, [1, 1], [1, 2], [4, 4])
    return SwinTransformer(*sizes, stochastic_depth_prob=0.0, num_classes=10)


def resnet():
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)


@pytest.fixture(params=[vit, swin, resnet])
def make(request, steps, monkeypatch):
    """(contender) -> it, on a small network of tokens or of channels last, or of several stages."""
    monkeypatch.setattr(steps, "classifier", lambda backbone, pixels: request.param())
    stage = {"layer": "layer2", "group_norm": True} if request.param is resnet else {"layer": None}
    case = steps.Case("small", pixels=32, batch=4, threads=torch.get_num_threads(), **stage)
    return lambda name: getattr(steps, name)(case)


def test_all_make_the_same_loss_and_reach_what_they_say(make, steps):
    reach = {
        "Camal": steps.Reach.ALL,
        "FirstOrder": steps.Reach.HALF,
        "PerSample": steps.Reach.ALL,
        "BySample": steps.Reach.ALL,
        "CaptumCreateGraph": steps.Reach.ALL,
        "Captum": steps.Reach.HALF,
    }
    expected = make("Plain").losses()[0]
    losses = []
    for name, where in reach.items():
        contender = make(name)
        assert contender.note[0] == where
        task, attention = contender.losses()
        torch.testing.assert_close(task, expected, rtol=1e-4, atol=1e-5)
        losses.append(attention)
    assert losses[0].abs() > 1e-3
    torch.testing.assert_close(
        torch.stack(losses), losses[0].expand(len(losses)), rtol=1e-3, atol=1e-5
    )


def test_pytorch_grad_cam_trains_nothing_and_leaves_the_model_to_train(make, steps):
    contender = make("PytorchGradCam")
    assert contender.note[0] == steps.Reach.NONE
    task, attention = contender.losses()
    assert not attention.requires_grad and -1 <= attention <= 1
    assert contender.model.training and task.requires_grad
    assert all(p.grad is None for p in contender.model.parameters())


def test_a_chunk_trains_every_parameter_in_every_step(make):
    for name in ("Plain", "Camal"):
        contender = make(name)
        size = sum(p.numel() for p in contender.model.parameters())
        before = [p.detach().clone() for p in contender.model.parameters()]
        assert contender.run(2) == 2 * size
        after = list(contender.model.parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.slow
def test_the_command_gives_contenders_their_rows(tmp_path, benchmark, capsys):
    out = tmp_path / "costs.json"
    flags = ["--backbones", "resnet18", "--no-stages", "--rounds", "1", "--steps", "1"]
    flags += ["--only", "CAMAL", "Captum", "--batch", "2", "--threads", "1", "--json", str(out)]
    assert benchmark("attribution").main(flags) == 0
    printed = capsys.readouterr().out
    (rows,) = json.loads(out.read_text())["sections"].values()
    assert [row["gradient_above"] for row in rows] == ["-", "yes", "no: below alone"]
    assert rows[0]["relative_time"] == rows[0]["relative_cpu_time"] == 1
    for row in rows:
        assert row["seconds_a_step"] > 0 and row["relative_cpu_time"] > 0
        assert sys.platform != "linux" or row["peak_memory_mib"] > 100
        assert row["contender"] in printed
    operations = {row["contender"]: row["relative_operations"] for row in rows}
    assert operations["CAMAL"] == pytest.approx(1, abs=0.02)  # the forward is the task's own
    assert operations["Captum"] > 1.9  # twice a forward and a backward
    assert "resnet18, standard tap, 2 x 64 px" in printed and "torch" in printed


def test_each_size_of_batch_is_a_section(benchmark):
    sections = benchmark("attribution").sections
    args = benchmark("attribution").AttributionSettings(
        backbones=["resnet18", "maxvit_t"], stages=False, batch=[1, 4]
    )
    assert [case["batch"] for case in sections(args).values()] == [1, 4, 4]
    assert list(sections(args))[1] == "resnet18, standard tap, 4 x 64 px"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--pixels", "70"), "--pixels must be a multiple of 32 from 64 on, got 70"),
        (("--batch", "4", "0"), "--batch must be at least 1, got 0"),
        (("--only", "CAMEL"), "did you mean CAMAL"),
        (("--rounds", "0"), "--rounds must be at least 1, got 0"),
        (("--backbones", "vgg16"), "vgg16"),
        (("--json", "nowhere/costs.json"), "--json nowhere/costs.json"),
    ],
)
def test_mistakes_are_named_before_any_process_starts(flags, complaint, benchmark):
    with pytest.raises(UserError, match=complaint):
        benchmark("attribution").main(list(flags))
