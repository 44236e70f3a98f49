import copy
import gc
import weakref
from contextlib import nullcontext
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import CheckpointError, checkpoint
from torchvision.models import VisionTransformer, swin_t

from rl_attn.agents import ActorCritic
from rl_attn.attention import (
    camal,
    differentiable_attention,
    grad_cam,
    recomputation,
    standard_layer,
    tap,
)
from rl_attn.attention.grids import as_maps, grid_of
from rl_attn.attention.taps import _backends


def vit(**options):
    torch.manual_seed(0)
    model = VisionTransformer(16, 4, 2, 2, 8, 8, num_classes=3, **options)
    nn.init.normal_(model.heads.head.weight)
    return model


def second_order_step(model, pictures, layer=None, **options):
    with tap(model, layer, **options) as features:
        logits = model(pictures)
    maps = grad_cam(logits[:, 0], features(), normalization="none")
    return maps, torch.autograd.grad(maps.sum(), list(model.parameters()), allow_unused=True)


# ---------------------------------------------------------------------- what a user writes


def test_the_readmes_lines(net, pictures, labels):
    mask = (torch.rand(5, 12, 10, generator=torch.Generator().manual_seed(0)) > 0.6).float()
    with tap(net, "last") as features:
        logits = net(pictures)
    attention = grad_cam(logits.gather(1, labels[:, None]).sum(1), features())
    loss = F.cross_entropy(logits, labels) + camal(attention, mask).mean()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_the_map_is_that_of_a_network_cut_in_two(net, pictures):
    with tap(net, "last") as features:
        logits = net(pictures)
    expected = {}
    handle = net.last.register_forward_hook(lambda m, i, o: expected.update(last=o))
    again = net(pictures)
    handle.remove()
    torch.testing.assert_close(logits, again)
    torch.testing.assert_close(features(), expected["last"])
    torch.testing.assert_close(
        grad_cam(logits[:, 1], features()), grad_cam(again[:, 1], expected["last"])
    )


def test_one_tap_serves_many_forwards(net, pictures):
    with tap(net, "last") as features:
        net(pictures)
        first = features()
        net(pictures[:2])
        assert len(features()) == 2 and len(first) == 5
    assert len(features()) == 2  # still there after the block


def test_two_taps_at_once(net, pictures):
    below = "first" if hasattr(net, "first") else "stem"
    with tap(net, below) as low, tap(net, "last") as high:
        logits = net(pictures)
    assert torch.backends.cuda.flash_sdp_enabled()  # whichever of them ends first
    for features in (low, high):
        assert grad_cam(logits[:, 0], features()).isfinite().all()
    assert low().shape[1:] != high().shape[1:] or low() is not high()


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(net, pictures, fails, untouched):
    broken = pictures[:, :2] if fails else pictures
    try:
        with tap(net, "last") as features:
            net(broken)
    except RuntimeError:
        assert fails
    else:
        grad_cam(net(pictures)[:, 0] + features().sum(dim=(1, 2, 3)), features())
    assert untouched(net)
    assert torch.backends.cuda.flash_sdp_enabled()


def test_our_agent_gives_its_own_features():
    agent = ActorCritic(2, (44, 52), 3)
    frames = torch.randint(0, 256, (3, 2, 44, 52), dtype=torch.uint8)
    assert standard_layer(agent) == "output.features"
    with tap(agent) as features:
        output = agent(frames)
    assert features() is output.features
    with tap(agent, "convolutions.4") as features:  # before the ReLU, by name
        output = agent(frames)
    torch.testing.assert_close(F.relu(features()), output.features)
    assert grad_cam(output.value, features()).shape == (3, 2, 3)


# ---------------------------------------------------------------------- layouts


def test_tokens_drop_the_class_token_and_keep_their_place():
    model, pictures = vit().eval(), torch.randn(2, 3, 16, 16)
    seen = {}
    layer = model.encoder.layers.encoder_layer_1.ln_1
    handle = layer.register_forward_hook(lambda m, i, o: seen.update(tokens=o))
    plain = model(pictures)
    handle.remove()
    with tap(model) as features:
        logits = model(pictures)
    torch.testing.assert_close(logits, plain, rtol=1e-4, atol=1e-5)
    assert features().shape == (2, 8, 4, 4)
    for row in range(4):
        for column in range(4):
            token = seen["tokens"][:, 1 + 4 * row + column]
            torch.testing.assert_close(features()[:, :, row, column], token)


def test_channels_last_is_permuted():
    torch.manual_seed(0)
    model = swin_t(num_classes=3).eval()
    pictures = torch.randn(1, 3, 64, 96)
    for layer, shape in [
        ("features.0", (1, 96, 16, 24)),
        ("features.0.0", (1, 96, 16, 24)),  # its convolution is channels first
        ("features.7", (1, 768, 2, 3)),
        ("norm", (1, 768, 2, 3)),
        ("permute", (1, 768, 2, 3)),
    ]:
        with tap(model, layer) as features:
            logits = model(pictures)
        assert features().shape == shape, layer
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), features())
        assert gradient.any(), layer


class PassesChannelsLast(nn.Module):
    """Blocks that pass (B, h, w, K) along under a name that nobody knows."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 32, 8, stride=8)
        self.block = nn.Sequential(nn.Linear(32, 32), nn.GELU())
        self.head = nn.Linear(32, 3)

    def forward(self, pictures):
        return self.head(self.block(self.embed(pictures).permute(0, 2, 3, 1)).mean((1, 2)))


def test_a_block_is_laid_out_as_the_layers_around_it_say():
    torch.manual_seed(0)
    model, pictures = PassesChannelsLast(), torch.randn(2, 3, 32, 48)
    with tap(model, "block") as features:
        logits = model(pictures)
    assert features().shape == (2, 32, 4, 6) and features.cells == (3.5, 8.0)
    assert grad_cam(logits[:, 0], features()).shape == (2, 4, 6)
    assert not model.block._forward_hooks and not model.embed._forward_hooks
    with tap(model, "block", layout="channels_first") as features:  # what is said is not found
        model(pictures)
    assert features().shape == (2, 4, 6, 32)


def test_layouts_by_hand():
    tokens = torch.arange(14.0).view(1, 7, 2)
    maps, back = as_maps(tokens, "tokens", prefix=1, grid=(2, 3))
    assert maps[0, 0].tolist() == [[2.0, 4.0, 6.0], [8.0, 10.0, 12.0]]
    assert torch.equal(back, tokens)
    last = torch.randn(2, 3, 4, 5)
    maps, back = as_maps(last, "channels_last")
    assert torch.equal(maps, last.permute(0, 3, 1, 2)) and torch.equal(back, last)


@pytest.mark.parametrize(
    ("patches", "picture", "grid"),
    [
        (16, None, (4, 4)),
        (196, (224, 224), (14, 14)),
        (24, (64, 96), (4, 6)),
        (6, (30, 20), (3, 2)),
    ],
)
def test_grids_follow_the_picture(patches, picture, grid):
    assert grid_of(patches, picture) == grid


def test_a_grid_that_does_not_fit_asks_for_one():
    with pytest.raises(ValueError, match=r"17 patches .* 224 x 224; give it: tap"):
        grid_of(17, (224, 224))


class Timm(nn.Module):
    """What timm's transformers show of themselves: prefix tokens by number, unknown class."""

    def __init__(self):
        super().__init__()
        self.num_prefix_tokens = 2
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, pictures):
        tokens = self.embed(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens[:, :2], tokens], 1)
        return self.head(self.norm(tokens).mean(1))


def test_the_number_of_prefix_tokens_is_the_models_or_the_callers():
    model, pictures = Timm(), torch.randn(2, 3, 8, 16)
    with tap(model, "norm") as features:
        model(pictures)
    assert features().shape == (2, 8, 2, 4)
    with tap(model, "norm", prefix=1, grid=(3, 3)) as features:
        model(pictures)
    assert features().shape == (2, 8, 3, 3)


# ---------------------------------------------------------------------- attention


def test_attention_above_the_tap_is_math_and_below_is_fused(monkeypatch):
    model, used = vit().eval(), []
    fused = F.scaled_dot_product_attention

    def watched(*args, **kwargs):
        used.append(torch.backends.cuda.flash_sdp_enabled())
        return fused(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    with tap(model, standard_layer(model)):
        used.clear()  # of the forward that has found it
        model(torch.randn(1, 3, 16, 16))
        assert torch.backends.cuda.flash_sdp_enabled()  # restored when the forward ends
    assert used == [True, False]
    used.clear()
    with tap(model, second_order=False):
        model(torch.randn(1, 3, 16, 16))
    assert used == [True, True]


def test_a_vit_trains_above_and_below_its_tap():
    model = vit()
    _, found = second_order_step(model, torch.randn(2, 3, 16, 16))
    names = [name for name, _ in model.named_parameters()]
    reached = {n for n, g in zip(names, found, strict=True) if g is not None and g.any()}
    assert {"conv_proj.weight", "heads.head.weight"} <= reached
    assert "encoder.layers.encoder_layer_1.self_attention.in_proj_weight" in reached


def test_without_the_tap_fused_attention_has_no_second_derivative():
    with pytest.raises(RuntimeError, match="derivative"):
        second_order_step(vit(), torch.randn(2, 3, 16, 16), second_order=False)


def test_the_callers_own_backends_come_back():
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION]):
        with tap(vit()) as features, torch.no_grad():
            features.model(torch.randn(1, 3, 16, 16))
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()


# ---------------------------------------------------------------------- corners


def test_a_frozen_backbone_still_has_maps(net, pictures):
    for parameter in net.last.parameters():
        parameter.requires_grad_(False)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith(("head", "fc")))
    with tap(net, "last") as features:
        logits = net(pictures)
    maps = grad_cam(logits[:, 0], features())
    head = net.head[1].weight if hasattr(net, "head") else net.fc.weight
    (found,) = torch.autograd.grad(maps[:, 0].sum(), head)
    assert found.any()


def test_an_identity_layer_does_not_take_in_its_bypass():
    class Bypass(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x):
            x = x * 1
            return (3 * self.layer(x) + 5 * x).sum(dim=(1, 2, 3))

    model, x = Bypass(), torch.rand(1, 1, 2, 2, requires_grad=True)
    with tap(model, "layer", layout="channels_first") as features:
        score = model(x)
    (gradient,) = torch.autograd.grad(score.sum(), features())
    assert gradient.unique().tolist() == [3.0]


def test_without_gradients_the_features_are_plain(net, pictures):
    with torch.no_grad(), tap(net, "last") as features:
        net(pictures)
    assert not features().requires_grad


def test_a_wrapped_model_is_tapped_inside(net, pictures):
    wrapped = nn.DataParallel(net) if not torch.cuda.is_available() else net
    with tap(wrapped, "last") as features:
        wrapped(pictures)
    assert len(features()) == 5


# ---------------------------------------------------------------------- errors


def test_an_unknown_layer_lists_close_names(net, untouched):
    close = r"no layer 'lst'; close names are 'last'"
    with pytest.raises(ValueError, match=close), tap(net, "lst"):
        pass
    parts = r"no layer 'zzzz'; its parts are '(first|stem)'"
    with pytest.raises(ValueError, match=parts), tap(net, "zzzz"):
        pass
    assert untouched(net)


def test_features_before_a_forward_are_refused(net):
    with tap(net, "last") as features, pytest.raises(RuntimeError, match="has not run"):
        features()


def test_a_layer_that_runs_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return self.convolution(self.convolution(x))

    model = Twice()
    with tap(model, "convolution") as features:
        model(torch.rand(1, 1, 4, 4))
    with pytest.raises(RuntimeError, match="ran 2 times"):
        features()


def test_an_output_changed_in_place_is_refused():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True))
    with tap(model, "1") as features:
        model(torch.rand(2, 1, 6, 6))
    with pytest.raises(RuntimeError, match="in place"):
        features()
    with tap(model, "2") as features:
        model(torch.rand(2, 1, 6, 6))
    assert features().amin() >= 0


def test_outputs_that_are_no_maps_are_refused(net, pictures):
    flat = "fc" if hasattr(net, "fc") else "head"
    with tap(net, flat), pytest.raises(ValueError, match=r"\(5, 4\) holds no feature maps"):
        net(pictures)
    model = nn.Sequential(nn.LSTM(4, 4))
    with tap(model, "0"), pytest.raises(TypeError, match="returns a tuple"):
        model(torch.rand(3, 2, 4))
    with tap(net, "output.features"), pytest.raises(TypeError, match=r"output\.features"):
        net(pictures)


@pytest.mark.parametrize("wrap", [nn.Sequential, torch.optim.swa_utils.AveragedModel])
def test_a_wrapped_backbone_keeps_its_class_token(wrap):
    net = VisionTransformer(32, 16, 2, 2, hidden_dim=16, mlp_dim=16, num_classes=5).eval()
    layer, x = "encoder.layers.encoder_layer_1.ln_1", torch.randn(1, 3, 32, 32)
    whole = wrap(net).eval()
    name = f"{'0' if wrap is nn.Sequential else 'module'}.{layer}"
    with tap(net, layer) as bare, tap(whole, name) as wrapped:
        net(x), whole(x)
    assert wrapped().shape == bare().shape == (1, 16, 2, 2)


# ---------------------------------------------------------------------- gradient checkpointing


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(4), nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x):  # (B, N, 4)
        query, key, value = self.qkv(self.norm(x)).unflatten(2, (3, 4)).unbind(2)
        mixed = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])
        return x + self.out(mixed[:, 0])


class Blocks(nn.Module):
    """A transformer whose parts `recomputed` are computed again in backward."""

    def __init__(self, recomputed=(), **options):
        super().__init__()
        torch.manual_seed(0)
        self.recomputed, self.options = recomputed, {"use_reentrant": False, **options}
        self.patches = nn.Conv2d(3, 4, 2, 2)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.last = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.head = nn.Linear(4, 3)

    def call(self, name, part, x):
        return checkpoint(part, x, **self.options) if name in self.recomputed else part(x)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        if "all" in self.recomputed:
            return checkpoint(self.rest, x, **self.options)
        return self.rest(x)

    def rest(self, x):
        for i, block in enumerate(self.blocks):
            x = self.call(i, block, x)
        for part in self.last:  # as timm's checkpoint_seq does: the Sequential is never called
            x = self.call("last", part, x)
        return self.head(x.square().mean(1))


def step(model, layer, within, second_order=True):
    """The map and all gradients of a loss on it and on the task, backward in or after the tap."""
    pictures = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with tap(model, layer, second_order=second_order) as features:
        logits = model(pictures)
        if within:
            return finish_step(model, logits, features, second_order)
    return finish_step(model, logits, features, second_order)


def finish_step(model, logits, features, second_order):
    backends = _backends()
    before = features()
    maps = grad_cam(logits[:, 0], before, dead="signed", second_order=second_order)
    loss = maps.square().sum() + logits.square().sum()
    loss.backward()
    assert features() is before and _backends() == backends
    return [maps.detach(), *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("layer", ["blocks.0", "blocks.1", "blocks.1.norm", "blocks.2", "last"])
@pytest.mark.parametrize("recomputed", [(1,), (2,), (0, 1, 2, "last"), ("all",), ("all", 0, 1)])
def test_a_tap_and_gradient_checkpointing_give_the_same_map_and_gradients(
    layer, recomputed, within
):
    """The tap on, inside, below and above what is recomputed; regions within regions."""
    found, expected = step(Blocks(recomputed), layer, within), step(Blocks(), layer, within)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert any(gradient.any() for gradient in expected[1:])


def test_a_model_that_is_recomputed_as_a_whole_has_the_same_map_and_gradients():
    found = []
    for call in (lambda model, x: model(x), partial(checkpoint, use_reentrant=False)):
        model = Blocks()
        with tap(model, "blocks.1") as features:
            logits = call(model, torch.ones(2, 3, 8, 8).tril())
        found.append(finish_step(model, logits, features, True))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_without_second_order_a_recomputation_keeps_the_fused_attention():
    found = [step(Blocks(recomputed), "blocks.0", False, False) for recomputed in ((), (1, 2))]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_what_is_frozen_below_the_tap_is_recomputed_as_it_was():
    found = []
    for recomputed in ((), (0, 1, 2)):
        model = Blocks(recomputed)
        model.patches.requires_grad_(False), model.blocks[:2].requires_grad_(False)
        found.append(step(model, "blocks.1", False))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_attention_recomputed_in_backward_is_differentiable_where_the_forward_was():
    found = []
    for recomputed in ((), (0, 1, 2)):
        model = Blocks(recomputed)
        pictures = torch.ones(2, 3, 8, 8, requires_grad=True)
        with differentiable_attention():
            score = model(pictures)[:, 0].sum()
        (gradient,) = torch.autograd.grad(score, pictures, create_graph=True)
        gradient.square().sum().backward()
        found.append([p.grad for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("within", [True, False])
def test_a_checkpointed_step_leaves_nothing_behind(within):
    model = Blocks((0, 1, 2))
    step(model, "blocks.1", within)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert recomputation._DEFAULTS["context_fn"] is torch.utils.checkpoint.noop_context_fn
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None  # neither the graph nor its regions are kept


def test_reentrant_checkpointing_is_refused_by_name():
    for layer in ("blocks.0", "blocks.1"):
        with pytest.raises(ValueError, match="use_reentrant=False"):
            step(Blocks((1,), use_reentrant=True), layer, False)


def test_a_region_with_contexts_of_its_own_is_not_silently_another():
    """Torch compares what it computes again; the tap's layer in it keeps what the forward made."""
    own = {"context_fn": lambda: (nullcontext(), nullcontext())}
    with pytest.raises(CheckpointError):
        step(Blocks((1, 2), **own), "blocks.0", False)


def test_one_graph_is_recomputed_for_each_backward():
    found = []
    for recomputed in ((), (0, 1, 2)):
        model = Blocks(recomputed)
        with tap(model, "blocks.1"):
            loss = model(torch.ones(2, 3, 8, 8).tril()).square().sum()
        parameters = list(model.parameters())
        found += [torch.autograd.grad(loss, parameters, retain_graph=True) for _ in range(2)]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-5, atol=1e-5)


def test_a_torch_that_takes_no_contexts_is_said_and_plain_models_are_tapped(monkeypatch):
    monkeypatch.delitem(recomputation._DEFAULTS, "context_fn")
    with pytest.warns(UserWarning, match="switch checkpointing off inside a tap"):
        found = step(Blocks(), "blocks.1", False)
    assert "context_fn" not in recomputation._DEFAULTS and found[0].any()


def test_a_layer_that_is_not_called_says_so():
    model = Blocks()
    with tap(model, "blocks") as features, pytest.raises(RuntimeError, match="did not call layer"):
        model(torch.randn(2, 3, 8, 8)), features()


# ---------------------------------------------------------------------- models that cannot


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_a_forward_without_gradients_has_features_and_no_map(net, pictures, without):
    with without(), tap(net, "last") as features:
        logits = net(pictures)
    assert len(features()) == 5
    with pytest.raises(RuntimeError, match=r"the score has no graph.*not in no_grad, inference"):
        grad_cam(logits[:, 0], features())


@pytest.mark.filterwarnings("ignore")  # torch is about to give up scripts and quantised tensors
def test_compiled_scripted_and_quantised_models_are_refused_by_their_names(net, pictures):
    with pytest.raises(TypeError, match=r"compiled .* its _orig_mod"), tap(torch.compile(net)):
        pass
    inside = nn.Sequential(copy.deepcopy(net))
    inside[0].compile()
    with pytest.raises(TypeError, match="a compiled model"), tap(inside, "0.last"):
        pass
    for graph in (torch.jit.script(net), torch.jit.trace(net, pictures)):
        for model, layer in [(graph, "last"), (graph, None), (nn.Sequential(graph), "0.last")]:
            with pytest.raises(TypeError, match="scripted or traced"), tap(model, layer):
                pass

    class Rounds(nn.Module):
        def forward(self, x):
            return torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)

    model = nn.Sequential(Rounds())
    with tap(model, "0"), pytest.raises(TypeError, match="quantised numbers"):
        model(pictures)


def test_a_model_copied_inside_its_tap_keeps_no_hook(net, pictures, untouched):
    with tap(net, "last") as features:
        before = copy.deepcopy(net)
        logits = net(pictures)
        maps = features()
        after, layer = copy.deepcopy(net), copy.deepcopy(net.last)
        torch.testing.assert_close(after(pictures), logits)
        before(pictures[:1])
        assert features() is maps  # the copies' forwards are their own
    for model in (net, before, after, layer):
        for module in model.modules():
            assert not module._forward_hooks and not module._forward_pre_hooks
            assert not module._forward_hooks_always_called
            assert not module._forward_pre_hooks_with_kwargs
    assert torch.backends.cuda.flash_sdp_enabled()
