"""What torch's users train with, on backbones by name: bf16, fp16 with a scaler, checkpointing,
wrappers that run a model on several devices; models without hooks are refused."""

from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from trainers import flags_of

from rl_attn.attention import grad_cam, tap
from rl_attn.errors import UserError
from rl_attn.supervised import train
from rl_attn.supervised.backbones import tap_layer
from rl_attn.supervised.models import made

OWN = """
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    again = False

    def __init__(self, channels, classes):
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, classes))

    def set_grad_checkpointing(self):
        self.again = True

    def part(self, x):
        return self.b(self.a(x).relu()).relu()

    def forward(self, x):
        x = checkpoint(self.part, x, use_reentrant=False) if self.again else self.part(x)
        return self.head(x.mean((2, 3)))

def make(channels, classes):
    return Net(channels, classes)

def parallel(channels, classes):
    return nn.DataParallel(Net(channels, classes))

def traced(channels, classes):
    net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(2704, classes))
    return torch.jit.trace(net, torch.zeros(2, channels, 28, 28))
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict[str, tuple[str, int]]:
    """Backbones as --backbone has them, and the side of their images."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "own_net.py").write_text(OWN)
    found = {"own": (f"{folder / 'own_net.py'}:make", 32), "timm": ("timm:test_vit", 160)}
    transformers = pytest.importorskip("transformers")
    sizes: dict[str, Any] = {"image_size": 32, "patch_size": 8, "hidden_size": 16}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    transformers.ViTConfig(**sizes, **off).save_pretrained(folder / "vit")
    return found | {"hf": (f"hf:{folder / 'vit'}", 32)}


class Step(NamedTuple):
    map: Tensor  # (B, h, w)
    gradients: list[Tensor | None]


def step(name: str, side: int, change: Any = lambda model: model, dtype: Any = None) -> Step:
    """A loss on the map and on the task, forward and backward, of the model that `change` gives."""
    torch.manual_seed(0)
    model = made(name, 3, 2, (side, side), False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # its mixture of samples is another subject
            module.eval()
    pictures = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    layer, called = tap_layer(model, "", (side, side)), change(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024, enabled=dtype == torch.float16)
    with torch.autocast("cpu", dtype, dtype is not None), tap(called, layer) as features:
        logits = called(pictures)
    maps = grad_cam(logits[:, 0].float(), features(), dead="signed")
    loss = maps.square().mean() + logits.float().square().mean()
    scaler.scale(loss).backward()
    if scaler.is_enabled():
        scaler.unscale_(torch.optim.SGD(model.parameters()))
    return Step(maps.detach(), [parameter.grad for parameter in model.parameters()])


@pytest.fixture(scope="module")
def plain(names) -> dict[str, Step]:
    return {kind: step(*where) for kind, where in names.items()}


KINDS = pytest.mark.parametrize("kind", ["own", "timm", "hf"])


@KINDS
def test_half_precisions_give_the_map_in_float32(names, plain, kind):
    for dtype in (torch.bfloat16, torch.float16):
        found = step(*names[kind], dtype=dtype)
        assert found.map.dtype == torch.float32
        torch.testing.assert_close(found.map, plain[kind].map, atol=0.05, rtol=0)
        for half, whole in zip(found.gradients, plain[kind].gradients, strict=True):
            assert (half is None) == (whole is None)
            if whole is not None:
                assert half.isfinite().all() and (half - whole).norm() <= 0.2 * whole.norm() + 1e-3


def checkpointed(model: nn.Module) -> nn.Module:
    inner: Any = getattr(model, "model", model)  # of transformers, below the one with logits alone
    transformers = hasattr(inner, "gradient_checkpointing_enable")
    (inner.gradient_checkpointing_enable if transformers else inner.set_grad_checkpointing)()
    return model


@KINDS
@pytest.mark.parametrize("change", [checkpointed, nn.DataParallel])
def test_checkpointing_and_a_wrapper_change_nothing(names, plain, kind, change):
    torch.testing.assert_close(step(*names[kind], change), plain[kind], rtol=1e-5, atol=1e-6)


def test_distributed_training_changes_nothing(names, plain, tmp_path):
    """Of one process, whose gradients are the mean over the group, here itself."""
    dist.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        for kind, where in names.items():
            found = step(*where, nn.parallel.DistributedDataParallel)
            torch.testing.assert_close(found, plain[kind], rtol=1e-5, atol=1e-6)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("kind", ["own", "hf"])
def test_the_command_trains_them_in_bf16(toy, names, kind, tmp_path):
    flags = flags_of("camal", epochs=1, backbone=names[kind][0], run_dir=tmp_path / "run")
    more = ["--size", str(names[kind][1]), "--precision", "bf16", "--train-pictures", "12"]
    assert train.main([*flags, *more]) == 0


@pytest.mark.filterwarnings("ignore")  # torch is about to give up traces
def test_models_without_hooks_are_refused_and_wrappers_are_not(toy, names, tmp_path):
    """A compiled model is refused as a traced one is, see `test_taps.py`."""
    file = names["own"][0].rpartition(":")[0]
    flags = flags_of("camal", epochs=1, run_dir=tmp_path / "run", backbone=f"{file}:traced")
    for more in ([], ["--layer", "0"]):
        with pytest.raises(UserError, match="scripted or traced"):
            train.main([*flags, *more])
    assert not (tmp_path / "run").exists()
    flags = flags_of("camal", epochs=1, run_dir=tmp_path / "run", backbone=f"{file}:parallel")
    assert train.main(flags) == 0
