import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from rl_attn.attention import contextual_decomposition
from rl_attn.attention.decomposition import Pair


def some_mask(pictures, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(len(pictures), *pictures.shape[2:], generator=generator) > 0.5).float()


def test_one_linear_layer_by_hand():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, -6.0]]))
        layer.bias.fill_(4.0)
    model = nn.Sequential(nn.Flatten(), layer)
    picture, mask = torch.tensor([[[[1.0, 1.0]]]]), torch.tensor([[[1.0, 0.0]]])
    relevant, irrelevant = contextual_decomposition(model, picture, mask)
    assert relevant.tolist() == [[2.0 + 4 * 2 / 8]]  # a quarter of the bias
    assert irrelevant.tolist() == [[-6.0 + 4 * 6 / 8]]


def test_relu_and_max_pooling_by_hand():
    pair = Pair(torch.tensor([[[[1.0, -1.0, 3.0]]]]), torch.tensor([[[[-1.0, 3.0, 4.0]]]]))
    assert pair.irrelevant.tolist() == [[[[-2.0, 4.0, 1.0]]]]
    after = F.relu(pair)
    assert after.relevant.tolist() == [[[[1.0, 0.0, 3.0]]]]
    assert after.irrelevant.tolist() == [[[[-1.0, 3.0, 1.0]]]]
    pooled = F.max_pool2d(pair, (1, 3))
    assert pooled.relevant.item() == 3.0 and pooled.irrelevant.item() == 1.0


def test_the_parts_add_up_to_the_logits(net, pictures, untouched):
    relevant, irrelevant = contextual_decomposition(net, pictures, some_mask(pictures))
    assert relevant.abs().max() > 0
    torch.testing.assert_close(relevant + irrelevant, net(pictures), rtol=1e-4, atol=1e-5)
    assert untouched(net)


def test_the_parts_add_up_on_black_pixels_and_for_soft_masks(net, pictures):
    pictures[:, :, :6] = 0
    relevant, irrelevant = contextual_decomposition(net, pictures, some_mask(pictures) / 3)
    torch.testing.assert_close(relevant + irrelevant, net(pictures), rtol=1e-4, atol=1e-5)


def test_an_empty_mask_has_no_part(net, pictures):
    relevant, irrelevant = contextual_decomposition(net, pictures, torch.zeros(5, 12, 10))
    assert torch.equal(relevant, torch.zeros(5, 4))
    torch.testing.assert_close(irrelevant, net(pictures), rtol=1e-4, atol=1e-5)


def test_a_full_mask_has_all(net, pictures):
    relevant, irrelevant = contextual_decomposition(net, pictures, torch.ones(5, 12, 10))
    torch.testing.assert_close(relevant, net(pictures), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(irrelevant, torch.zeros(5, 4), rtol=0, atol=1e-5)


def reference(layers, picture, mask):
    """One picture, layer by layer, as the paper's Sec. 3 writes it; 2 x 2 pooling by unfolding."""
    relevant, irrelevant = picture * mask, picture * (1 - mask)
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            zero = layer(torch.zeros_like(relevant))
            parts = [layer(part) - zero for part in (relevant, irrelevant)]
            total = parts[0].abs() + parts[1].abs()
            relevant, irrelevant = (part + part.abs() / total * zero for part in parts)
        elif isinstance(layer, nn.ReLU):
            both = relevant + irrelevant
            relevant = relevant.clamp_min(0)
            irrelevant = both.clamp_min(0) - relevant
        elif isinstance(layer, nn.MaxPool2d):
            windows = [
                part.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4) for part in (relevant, irrelevant)
            ]
            where = (windows[0] + windows[1]).argmax(4, keepdim=True)
            relevant, irrelevant = (window.gather(4, where)[..., 0] for window in windows)
        else:
            relevant, irrelevant = layer(relevant), layer(irrelevant)
    return relevant, irrelevant


def chains():
    torch.manual_seed(0)
    head = [nn.Flatten(), nn.Linear(4 * 6 * 5, 7), nn.ReLU(), nn.Linear(7, 3)]
    pooled = [nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), *head]
    strided = [nn.Conv2d(3, 4, 2, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), *head]
    return pooled, strided, [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(90, 5), nn.ReLU()]


@pytest.mark.parametrize("layers", chains(), ids=["pooled", "strided", "averaged"])
def test_it_is_the_papers_recursion(pictures, layers):
    mask = some_mask(pictures)
    ours = contextual_decomposition(nn.Sequential(*layers), pictures, mask)
    for b in range(5):
        theirs = reference(layers, pictures[b : b + 1], mask[b])
        for part, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(part[b : b + 1], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layers", chains(), ids=["pooled", "strided", "averaged"])
def test_several_regions_are_each_by_itself(pictures, layers):
    model, masks = nn.Sequential(*layers), torch.rand(3, 5, 12, 10).round()

    def gradients(parts):
        penalty = sum((r.sigmoid() * i).sum() for r, i in parts)
        return torch.autograd.grad(penalty, list(model.parameters()))

    together = contextual_decomposition(model, pictures, masks)
    assert together[0].shape[:2] == (3, 5)
    alone = [contextual_decomposition(model, pictures, mask) for mask in masks]
    for part, parts in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(part, torch.stack(parts), rtol=1e-4, atol=1e-6)
    found, expected = gradients(zip(*together, strict=True)), gradients(alone)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_whole_resnet_and_other_spellings():
    torch.manual_seed(0)
    pictures = torch.randn(1, 3, 32, 32)
    model = resnet18(num_classes=3).eval()
    relevant, irrelevant = contextual_decomposition(model, pictures, some_mask(pictures))
    torch.testing.assert_close(relevant + irrelevant, model(pictures), rtol=1e-3, atol=1e-4)

    convolution, head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def functional(x):
        x = F.max_pool2d(F.relu(convolution(x)), 3, stride=2, padding=1)
        x = F.avg_pool2d(torch.relu(x).relu(), 2)
        return head(F.dropout(x, training=False).mean(dim=(2, 3)).view(x.size(0), -1))

    relevant, irrelevant = contextual_decomposition(functional, pictures, some_mask(pictures))
    torch.testing.assert_close(relevant + irrelevant, functional(pictures), rtol=1e-4, atol=1e-5)


def test_gradcheck_by_pictures_and_weights():
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    inputs = draw(2, 1, 5, 5), draw(2, 1, 2, 2), draw(2), draw(3, 8), draw(3)
    mask = some_mask(inputs[0]).double()

    def parts(pictures, kernel, bias, weight, offset):
        def model(x):
            x = F.max_pool2d(F.relu(F.conv2d(x, kernel, bias)), 2)
            return F.linear(x.flatten(1), weight, offset)

        return contextual_decomposition(model, pictures, mask)

    assert torch.autograd.gradcheck(parts, inputs)


def test_a_loss_reaches_every_weight(net, pictures):
    relevant, irrelevant = contextual_decomposition(net, pictures, some_mask(pictures))
    loss = torch.stack([relevant, irrelevant]).softmax(0)[0].sum()  # CDEP's penalty
    weights = [p for p in net.parameters() if p.ndim > 1]
    found = torch.autograd.grad(loss, weights)
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in found)


def test_what_has_no_rule_is_named(pictures):
    with pytest.raises(NotImplementedError, match=r"no rule for gelu; it knows .*conv2d"):
        contextual_decomposition(F.gelu, pictures, some_mask(pictures))
    with pytest.raises(AttributeError, match=r"Tensor\.tanh"):
        contextual_decomposition(lambda x: x.tanh(), pictures, some_mask(pictures))


def test_batchnorm_in_training_mode_is_refused(pictures):
    with pytest.raises(ValueError, match="training mode"):
        contextual_decomposition(nn.BatchNorm2d(3), pictures, some_mask(pictures))


def test_a_mask_of_another_size_is_refused(net, pictures):
    with pytest.raises(ValueError, match=r"\(5, 6, 5\)"):
        contextual_decomposition(net, pictures, torch.ones(5, 6, 5))
