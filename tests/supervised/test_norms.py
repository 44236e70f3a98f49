"""Attention above which BatchNorm mixes samples: refused, or each sample's own."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from rl_attn.errors import UserError
from rl_attn.supervised.backbones import build, seeded, tap_layer
from rl_attn.supervised.batches import Batch
from rl_attn.supervised.comparison.table import read_table
from rl_attn.supervised.data import LOADERS
from rl_attn.supervised.methods import method_class
from rl_attn.supervised.methods.camal import Camal
from rl_attn.supervised.methods.gals import Gals
from rl_attn.supervised.network import Network
from rl_attn.supervised.settings import TrainSettings
from rl_attn.supervised.trainable import check
from tests.supervised.test_tables import TABLES

SIZE = (32, 32)
WITHOUT_BATCH_NORM = ("convnext_tiny", "vit_b_16", "swin_v2_t")


def network(layer: str, per_sample: bool = False, **changes: str) -> Network:
    model = seeded(1, lambda: build("resnet18", 3, 3, SIZE, **changes))
    return Network(model.train(), layer, per_sample=per_sample)


def batch(number: int = 4) -> Batch:
    torch.manual_seed(0)
    rows = torch.arange(number)
    return Batch(torch.randn(number, 3, *SIZE), rows % 3, None, None, rows)


def alone(model: nn.Module, layer: str, drawn: Batch) -> torch.Tensor:
    """Each sample's Grad-CAM by a backward of its own, of the batch's one forward."""
    found = Network(model, layer)(drawn.pictures)
    maps = []
    for i, label in enumerate(drawn.labels):
        score = found.logits[i, label]
        gradient = torch.autograd.grad(score, found.features, retain_graph=True)[0][i]
        maps.append((gradient.mean((1, 2))[:, None, None] * found.features[i]).mean(0).relu())
    maps = torch.stack(maps)
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-12)


@pytest.mark.parametrize(
    ("layer", "changes"),
    [
        ("layer2", {"batch_norm": "group"}),
        ("layer2", {"batch_norm": "frozen"}),
        ("layer4", {"stem": "small"}),
        ("layer3", {"per_sample": True}),
    ],
)
def test_each_way_out_gives_each_sample_its_own_map(layer, changes):
    built, drawn = network(layer, **changes), batch()
    if "per_sample" not in changes:
        check(built, drawn, "refuse")
    output = built(drawn.pictures)
    maps = built.explain(output, drawn.pictures, drawn.labels).map
    torch.testing.assert_close(maps, alone(built.model, layer, drawn), atol=1e-5, rtol=0)
    torch.testing.assert_close(output.grad_cam(drawn.labels).map, maps)
    maps.mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in built.model.parameters())
    assert built.model.fc.weight.grad.any()


def test_a_mixture_is_refused_unless_asked_for(capsys):
    built, drawn = network("layer2"), batch()
    with pytest.raises(
        UserError, match=r"layer3\.0\.bn1.*--batch-norm group or frozen.*--stem small"
    ):
        check(built, drawn, "refuse")
    for allowed in ("mixed", "per-sample"):
        check(built, drawn, allowed)
    maps = built.explain(built(drawn.pictures), drawn.pictures, drawn.labels).map
    assert (maps - alone(built.model, "layer2", drawn)).abs().max() > 0.05
    assert "mixed samples" not in capsys.readouterr().out


def test_a_small_stem_keeps_a_grid_at_the_last_layer():
    drawn = batch(2)
    assert network("layer4")(drawn.pictures).features.shape[2:] == (1, 1)
    small = network("layer4", stem="small")
    assert small(drawn.pictures).features.shape[2:] == (4, 4)


def test_frozen_statistics_stay_and_weights_are_trained():
    model = build("resnet18", 3, 3, SIZE, batch_norm="frozen").train()
    assert not model.layer1[0].bn1.training and model.layer1.training
    model(batch().pictures).sum().backward()
    assert not model.bn1.running_mean.any() and model.layer1[0].bn1.weight.grad.any()


def test_timm_s_norms_with_an_activation_keep_it():
    pytest.importorskip("timm")
    x = torch.randn(2, 3, 32, 32)
    model = build("timm:mobilenetv3_small_050", 3, 3, SIZE).eval()
    before = model(x)
    frozen = build("timm:mobilenetv3_small_050", 3, 3, SIZE, batch_norm="frozen")
    frozen.load_state_dict(model.state_dict())
    torch.testing.assert_close(frozen.train()(x), before)
    grouped = build("timm:mobilenetv3_small_050", 3, 3, SIZE, batch_norm="group")
    assert not any(isinstance(m, nn.BatchNorm2d) for m in grouped.modules())
    kinds = [type(m).__name__ for m in grouped.modules() if "swish" in type(m).__name__.lower()]
    assert kinds and grouped(x).isfinite().all()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lenet", {"batch_norm": "group"}, "--batch-norm group: lenet has no BatchNorm"),
        ("vit_b_16", {"stem": "small"}, "--stem small is for ResNets, not for vit_b_16"),
    ],
)
def test_what_has_nothing_to_change_is_refused(name, changes, message):
    with pytest.raises(UserError, match=message):
        build(name, 3, 3, SIZE, **changes)


def trains_maps(flags: dict) -> bool:
    kind = method_class(flags["method"])
    own = {f.name: flags[f.name] for f in dataclasses.fields(kind) if f.name in flags}
    return kind(**own).needs_features()


def tables() -> list:
    """Each network of configs/tables with whose maps of which kind something is trained."""
    found = {}
    for file in TABLES:
        table = read_table(file, None)
        for chosen in itertools.product(*(entries.values() for entries in table.grid.values())):
            flags = table.arguments | {k: v for cell in chosen for k, v in cell.items()}
            if flags["data"] not in LOADERS or not trains_maps(flags):
                continue
            keys = ["backbone", "layer", "batch_norm", "stem", "batch_maps", "attention"]
            if flags.get("backbone") in WITHOUT_BATCH_NORM:
                keys.remove("batch_norm")
            if method_class(flags["method"]) is not Camal:
                keys.remove("attention")  # Grad-CAM, as theirs is
            found.setdefault(tuple((k, flags[k]) for k in keys if k in flags), file.stem)
    return [pytest.param(dict(key), id=f"{stem}-{dict(key)}") for key, stem in found.items()]


@pytest.mark.parametrize("flags", tables())
def test_every_table_trains_maps_of_each_sample(flags):
    """`cases/attention/bn.py`: at layer2 a batch's maps were 0.1 to 0.17 off."""
    args = TrainSettings(**flags)
    side = 224 if args.backbone == "maxvit_t" else 96  # of which alone windows of 7 fit
    shape = (3, 3, (side, side))
    model = seeded(
        1, lambda: build(args.backbone, *shape, batch_norm=args.batch_norm, stem=args.stem)
    ).train()
    layer = tap_layer(model, args.layer)
    per_sample = args.batch_maps == "per-sample"
    built = Network(model, layer, attention=args.attention, per_sample=per_sample)
    torch.manual_seed(0)
    rows = torch.arange(2)
    drawn = Batch(torch.randn(2, 3, side, side), rows * 2, None, None, rows)
    if any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules()):
        check(built, drawn, args.batch_maps)

    def maps() -> torch.Tensor:
        torch.manual_seed(1)  # stochastic depth
        output = built(drawn.pictures)
        return built.explain(output, drawn.pictures, drawn.labels, second_order=False).map.detach()

    found = maps()
    if args.attention == "grad-cam":
        torch.manual_seed(1)
        torch.testing.assert_close(found, alone(model, layer, drawn), atol=1e-5, rtol=0)
        return
    drawn.pictures[1] = drawn.pictures[1].flip(1)  # another picture, in the same range
    torch.testing.assert_close(maps()[0], found[0], atol=1e-5, rtol=0)
    assert not torch.equal(maps()[1], found[1])


@pytest.mark.parametrize("attention", ["input-gradient", "integrated-gradients", "smooth-grad"])
def test_a_mixture_of_pixel_maps_is_refused_too(attention):
    drawn = batch()
    plain = network("layer4", stem="small")
    plain.attention = attention
    for batch_maps in ("refuse", "per-sample"):
        with pytest.raises(UserError, match=rf"--attention {attention}: BatchNorm.* the pictures"):
            check(plain, drawn, batch_maps)
    check(plain, drawn, "mixed")
    grouped = network("layer2", batch_norm="group")
    grouped.attention = attention
    check(grouped, drawn, "refuse")


def test_gals_is_asked_for_maps_of_each_sample_where_it_takes_grad_cam():
    assert not Gals().needs_features()
    assert Gals(where="grad-cam-outside").needs_features()
