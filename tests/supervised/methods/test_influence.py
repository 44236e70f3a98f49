"""RBR, RRR-G and GALS beside a plain reading of their code: means and sums over the batch."""

import pytest
import torch
import torch.nn.functional as F

from rl_attn.errors import UserError
from rl_attn.supervised.methods.base import task_loss


def test_rbr_takes_influence_off_the_decoy(trainer_of):
    """Of all squared products the share off the mask, since a network that is sure has small ones
    everywhere."""
    shares = []
    for weight in (0.0, 1e5):
        trainer = trainer_of("rbr", weight=weight, epochs=6)
        for _ in range(6):
            trainer.run_epoch()
            trainer.finish_epoch()
        batch = trainer.train.take(torch.arange(36))
        off = total_of(trainer, batch)[1]["attention/loss"].mean()
        everywhere = total_of(trainer, batch._replace(masks=0 * batch.masks))[1]["attention/loss"]
        shares.append(off / everywhere.mean())
    assert shares[1] < 0.5 * shares[0]


def test_rrr_grad_cam_suppresses_attention_off_the_mask(trained):
    reports = [trained("rrr-grad-cam", weight=weight, epochs=8) for weight in (0.0, 1.0)]
    assert reports[1]["attention/loss"] < 0.5 * reports[0]["attention/loss"]
    assert reports[1]["validation/accuracy"] > 0.9


@pytest.mark.parametrize("where", ["grad-cam-match", "grad-cam-outside"])
def test_gals_on_maps_moves_them_to_the_mask(trained, where):
    without = trained("gals", where=where, weight=0.0, epochs=8)
    with_it = trained("gals", where=where, weight=10.0, epochs=8)
    assert with_it["validation/attention/loss"] < 0.7 * without["validation/attention/loss"]


def total_of(trainer, batch):
    losses, logs = trainer.method.loss(trainer.network, batch, 0)
    return losses.mean(), logs


def mean_loss(trainer, batch):
    x = batch.pictures.detach().clone().requires_grad_()
    logits = trainer.network.model(x)
    return x, logits, F.cross_entropy(logits, batch.labels)


def test_rbr_is_the_typologys(trainer_of):
    trainer = trainer_of("rbr", weight=1e5)
    batch = trainer.train.take(torch.arange(5))
    x, logits, loss = mean_loss(trainer, batch)
    parameters = list(trainer.network.model.parameters())
    total = sum(g.sum() for g in torch.autograd.grad(loss, parameters, create_graph=True))
    influence = torch.autograd.grad(total, x, retain_graph=True)[0]
    gradient = torch.autograd.grad(logits.log_softmax(1).sum(), x)[0]
    wrong = (1 - batch.masks)[:, None] * influence * gradient
    expected = loss + 1e5 * wrong.square().sum()
    found, _ = total_of(trainer, batch)
    assert torch.allclose(found, expected, rtol=1e-4)
    assert wrong.square().sum() > 0


def test_rbr_in_validation_leaves_parameters_as_they_were(trainer_of):
    trainer = trainer_of("rbr")
    trainer.network.model.requires_grad_(False)
    losses, _ = trainer.method.loss(trainer.network, trainer.train.take(torch.arange(3)), 0)
    assert losses.isfinite().all()
    assert not any(p.requires_grad for p in trainer.network.model.parameters())


def test_rrr_grad_cam_sums_the_predicted_classs_map_off_the_mask(trainer_of):
    trainer = trainer_of("rrr-grad-cam", weight=2.0)
    batch = trainer.train.take(torch.arange(5))
    found, _ = total_of(trainer, batch)
    output = trainer.network(batch.pictures)
    expected = task_loss(output, batch).mean()
    for b in range(5):
        score = output.logits[b].max()
        gradient = torch.autograd.grad(score, output.features, retain_graph=True)[0][b]
        evidence = (gradient.mean((1, 2))[:, None, None] * output.features[b]).sum(0)
        scaled = (evidence - evidence.min()) / (evidence.max() - evidence.min())
        away = 1 - F.interpolate(batch.masks[None, b : b + 1], scaled.shape, mode="area")[0, 0]
        expected = expected + 2.0 * (scaled * away).square().sum()
    assert torch.allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("where", ["gradient-outside", "gradient-inside"])
def test_gals_takes_the_gradient_of_the_batchs_mean(trainer_of, where):
    trainer = trainer_of("gals", where=where, weight=1e4, unit="input")
    batch = trainer.train.take(torch.arange(6))
    x, _, loss = mean_loss(trainer, batch)
    gradient = torch.autograd.grad(loss, x, retain_graph=True)[0]
    mask = batch.masks[:, None]
    inside = where.endswith("inside")
    off = mask * (gradient - 1) if inside else gradient * (1 - mask)
    found, _ = total_of(trainer, batch)
    assert torch.allclose(found, loss + 1e4 * off.abs().mean(), rtol=1e-4)


def test_gals_suppresses_gradients_off_the_mask(trained):
    """Measured where the loss is the same: a vanilla network that is sure has no gradient left."""
    reports = [trained("gals", weight=w, unit="input", epochs=6) for w in (0.0, 1e4)]
    shares = [r["attention/loss"] / r["losses/cross_entropy"] for r in reports]
    assert shares[1] < 0.5 * shares[0]


def test_gals_leaves_out_pictures_without_a_map(trainer_of):
    trainer = trainer_of("gals")
    batch = trainer.train.take(torch.arange(4))
    batch.masks[1] = 0
    _, logs = total_of(trainer, batch)
    assert logs["attention/loss"][1] == 0 and (logs["attention/loss"][[0, 2, 3]] > 0).all()


def test_gals_on_maps_needs_a_network_with_maps(trainer_of):
    with pytest.raises(UserError, match="needs feature maps"):
        trainer_of("gals", where="grad-cam-match", backbone="rrr-mlp")
