"""RRR as CDEP's authors run it: another score, and a step on the penalty alone."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F


def penalty_of(model, pictures, labels, masks):
    """Of the gradient of the batch's mean, as they have it, sample by sample."""
    pictures = pictures.detach().clone().requires_grad_()
    mean = F.nll_loss(model(pictures).log_softmax(1), labels)
    (gradient,) = torch.autograd.grad(mean, pictures, create_graph=True)
    return sum((g * (1 - m)).square().sum() for g, m in zip(gradient, masks, strict=True))


def test_two_steps_are_those_of_a_plain_loop(trainer_of):
    """The first on the penalty, whose gradient stays for the second; theirs times B are ours."""
    flags = {"optimizer": "adam", "learning_rate": 0.01, "epochs": 2, "batch_size": 16}
    flags |= {"unit": "input", "score": "cross-entropy", "alternate": True}
    trainer = trainer_of("rrr", weight=3, **flags)
    model = deepcopy(trainer.network.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    take, taken = trainer.train.take, []

    def take_and_keep(*arguments):
        taken.append(take(*arguments))
        return taken[-1]

    trainer.train.take = take_and_keep
    assert trainer.run_epoch()
    losses = 0.0
    for batch in taken:
        number = len(batch.labels)
        optimizer.zero_grad()
        penalty = 3 * number * penalty_of(model, batch.pictures, batch.labels, batch.masks)
        penalty.backward()
        optimizer.step()
        loss = F.cross_entropy(model(batch.pictures.detach()), batch.labels)
        loss.backward()
        optimizer.step()
        losses += number * (loss + penalty).item()
    logs = trainer.finish_epoch()
    assert logs["losses/total"] == pytest.approx(losses / len(trainer.train), rel=1e-4)
    assert logs["attention/loss"] > 0
    expected = model.state_dict()
    for name, value in trainer.network.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4)


def test_at_rest_the_loss_is_that_of_both(trainer_of):
    trainer = trainer_of("rrr", weight=3, unit="input", score="cross-entropy", alternate=True)
    network, batch = trainer.network, trainer.train.take(torch.arange(8))
    network.model.eval()
    loss, logs = trainer.method.loss(network, batch, 0)
    penalty = penalty_of(network.model, batch.pictures, batch.labels, batch.masks) * 8
    assert logs["attention/loss"].mean().item() == pytest.approx(penalty.item(), rel=1e-4)
    torch.testing.assert_close(loss, logs["losses/cross_entropy"] + 3 * logs["attention/loss"])
