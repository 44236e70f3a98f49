import pytest
import torch
import torch.nn.functional as F
from torchvision.models import VisionTransformer

from rl_attn.attention import le_grad, record_attention

GRID = (2, 2)


@pytest.fixture(params=["class token", "no class token"])
def transformer(request):
    """torchvision's ViT (nn.MultiheadAttention) or a bare one (plain F.scaled_dot_product...)."""
    torch.manual_seed(0)
    if request.param == "class token":
        model = VisionTransformer(8, 4, 2, 2, 8, 8, num_classes=3).eval()
        torch.nn.init.normal_(model.heads.head.weight)
        torch.nn.init.normal_(model.class_token)
        return model
    return Bare()


class Bare(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Conv2d(3, 8, 4, stride=4)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(8, 24) for _ in range(2)])
        self.head = torch.nn.Linear(8, 3)

    def forward(self, pictures):
        tokens = self.embed(pictures).flatten(2).transpose(1, 2)  # (B, 4, 8)
        for layer in self.layers:
            q, k, v = layer(tokens).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v)
            tokens = tokens + attended.transpose(1, 2).flatten(2)
        return self.head(tokens.mean(1))


@pytest.fixture
def small():
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_recording_changes_no_output_and_is_undone(transformer, small):
    fused = F.scaled_dot_product_attention
    with record_attention() as attentions:
        logits = transformer(small)
    assert F.scaled_dot_product_attention is fused
    torch.testing.assert_close(logits, transformer(small), rtol=1e-4, atol=1e-5)
    assert len(attentions) == 2
    for attention in attentions:
        assert attention.shape[:2] == (3, 2) and attention.ndim == 4
        torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))


def test_recording_is_undone_after_an_error():
    fused = F.scaled_dot_product_attention
    with pytest.raises(RuntimeError), record_attention():
        raise RuntimeError
    assert F.scaled_dot_product_attention is fused


@pytest.mark.parametrize("mask", ["none", "bool", "float", "causal"])
def test_recorded_attention_is_the_fused_one(mask):
    q, k, v = torch.randn(3, 2, 2, 5, 4)
    options = {
        "none": {},
        "bool": {"attn_mask": torch.eye(5).bool() | (torch.rand(5, 5) > 0.5)},
        "float": {"attn_mask": torch.randn(5, 5), "scale": 0.3},
        "causal": {"is_causal": True},
    }[mask]
    fused = F.scaled_dot_product_attention(q, k, v, **options)
    with record_attention():
        ours = F.scaled_dot_product_attention(q, k, v, **options)
    torch.testing.assert_close(ours, fused, rtol=1e-4, atol=1e-5)


def test_by_hand():
    attention = torch.zeros(1, 1, 3, 3, requires_grad=True)  # one class token, patches 1 x 2
    score = 6 * attention[:, 0, 0, 1] - 3 * attention[:, 0, 1, 2] + 9 * attention[:, 0, 2, 2]
    maps = le_grad(score, [attention], grid=(1, 2), normalization="none")
    assert maps.tolist() == [[[2.0, 3.0]]]  # columns 1 and 2 of ReLU(gradient), over 3 queries


def test_it_is_a_loop_over_layers_samples_and_heads(transformer, small):
    with record_attention() as attentions:
        logits = transformer(small)
    ours = le_grad(logits[:, 1], attentions, grid=GRID, normalization="none")
    for b in range(3):
        layers = torch.autograd.grad(logits[b, 1], attentions, retain_graph=True)
        expected = torch.zeros(4)
        for gradient in layers:
            for head in gradient[b]:
                expected += head.clamp_min(0).mean(0)[-4:] / (2 * len(layers))
        torch.testing.assert_close(ours[b].flatten(), expected, rtol=1e-4, atol=1e-8)
    assert ours.amax() > 0


def test_batch_is_a_loop(transformer, small):
    def maps(some):
        with record_attention() as attentions:
            logits = transformer(some)
        return le_grad(logits[:, 0], attentions, grid=GRID)

    singly = torch.cat([maps(picture[None]) for picture in small])
    torch.testing.assert_close(maps(small), singly, rtol=1e-4, atol=1e-5)


def test_one_score_a_layer(transformer, small):
    with record_attention() as attentions:
        logits = transformer(small)
    scores = [logits[:, 0], logits[:, 2]]
    both = le_grad(scores, attentions, grid=GRID, normalization="none")
    each = [
        le_grad(s, [a], grid=GRID, normalization="none")
        for s, a in zip(scores, attentions, strict=True)
    ]
    torch.testing.assert_close(both, torch.stack(each).mean(0))


@pytest.mark.parametrize("second_order", [True, False])
def test_second_order_decides_whether_a_loss_trains(transformer, small, second_order):
    with record_attention() as attentions:
        logits = transformer(small)
    maps = le_grad(logits[:, 0], attentions, grid=GRID, second_order=second_order)
    assert maps.requires_grad is second_order
    if second_order:
        weights = [p for p in transformer.parameters() if p.ndim > 1]
        found = torch.autograd.grad(maps[:, 0].sum(), weights, allow_unused=True)
        assert sum(g is not None and bool(g.any()) for g in found) >= len(weights) - 1
    assert all(parameter.grad is None for parameter in transformer.parameters())


def test_gradcheck_by_a_weight():
    torch.manual_seed(0)
    model = Bare().double()
    small = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    weight = model.layers[1].weight

    def attention(value):
        with record_attention() as attentions:
            logits = torch.func.functional_call(model, {"layers.1.weight": value}, small)
        return le_grad(logits[:, 0].tanh(), attentions, grid=GRID, normalization="none")

    assert torch.autograd.gradcheck(attention, weight[:].detach().requires_grad_())


def test_a_frozen_transformer_has_maps(transformer, small):
    transformer.requires_grad_(False)
    with record_attention() as attentions:
        logits = transformer(small.requires_grad_())
    assert le_grad(logits[:, 0], attentions, grid=GRID, second_order=False).amax() == 1


def test_bad_input_is_named(net, pictures):
    with record_attention() as attentions:
        logits = net(pictures)
    with pytest.raises(ValueError, match="no attention was recorded"):
        le_grad(logits[:, 0], attentions, grid=GRID)
    attention = torch.rand(2, 1, 4, 4, requires_grad=True)
    with pytest.raises(ValueError, match=r"N >= 9, got \[\(2, 1, 4, 4\)\]"):
        le_grad(attention.sum(dim=(1, 2, 3)), [attention], grid=(3, 3))
    with pytest.raises(ValueError, match="1 layers need one score"):
        le_grad([attention.sum(dim=(1, 2, 3))] * 2, [attention], grid=GRID)


def test_only_what_is_asked_for_is_kept_and_without_a_gradient(transformer, small):
    with record_attention() as whole:
        transformer(small)
    with record_attention(keep=lambda probabilities: probabilities.mean(1)) as means:
        logits = transformer(small)
    assert logits.requires_grad  # the model's own graph is as it was
    for mean, attention in zip(means, whole, strict=True):
        assert not mean.requires_grad
        torch.testing.assert_close(mean, attention.mean(1))


def test_attention_is_recorded_where_pytorch_would_take_its_fast_path(small):
    model = VisionTransformer(8, 4, 2, 2, 8, 8, num_classes=3).eval().requires_grad_(False)
    with torch.no_grad(), record_attention() as attentions:
        model(small)
    assert len(attentions) == 2
    assert torch.backends.mha.get_fastpath_enabled()
