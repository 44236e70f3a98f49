"""A teacher's evidence for every class: what is compared with what, and who can teach."""

from types import SimpleNamespace

import pytest
import torch

from rl_attn.errors import UserError
from rl_attn.supervised.methods import method_class
from rl_attn.supervised.teachers import without_colour

METHOD = "learning-to-look-evidence"
#: What makes LeNet converge on 36 pictures.
SMALL = {"backbone": "lenet", "size": 28, "schedule": "none", "learning_rate": 0.01}
SMALL |= {"teacher": "textures", "teacher_steps": 150, "attention_epochs": 6, "epochs": 24}
#: Where how much the teacher knows does not matter.
HARDLY_TAUGHT = SMALL | {"teacher_steps": 60}


def test_evidence_becomes_the_teacher_s_and_the_task_is_learned(coloured_trainer_of):
    distances = []
    for weight in (0, 20):
        trainer = coloured_trainer_of(METHOD, weight=weight, **SMALL)
        for _ in range(trainer.args.epochs):
            assert trainer.run_epoch()
            logs = trainer.finish_epoch()
        assert logs["validation/accuracy"] > 0.9
        distances.append(logs["validation/attention/loss"])
    assert distances[1] < 0.3 * distances[0]


def test_loss_is_that_of_a_loop_over_cells(coloured_trainer_of):
    """KL(teacher || student) of the classes' evidence, and the teacher is shown no colour."""
    trainer = coloured_trainer_of(METHOD, weight=3, **HARDLY_TAUGHT)
    method, network = trainer.method, trainer.network
    batch = trainer.train.take(torch.arange(2))
    loss, logs = method.loss(network, batch, method.attention_epochs)
    model, teacher = network.model, method.knowing.model
    shown = without_colour(batch.pictures, trainer.train.view)
    for b in range(2):
        mine, its = model.features(batch.pictures)[b], teacher.features(shown)[b]
        cells = []
        for i in range(mine.shape[1]):
            for j in range(mine.shape[2]):
                found = (model.classifier.weight @ mine[:, i, j]).log_softmax(0)
                wanted = (teacher.classifier.weight @ its[:, i, j]).log_softmax(0)
                cells.append((wanted.exp() * (wanted - found)).sum())
        expected = torch.stack(cells).mean()
        torch.testing.assert_close(logs["attention/loss"][b], expected, rtol=1e-4, atol=1e-5)
    expected = logs["losses/cross_entropy"] + 3 * logs["attention/loss"]
    torch.testing.assert_close(loss, expected)


def test_teacher_is_the_same_whenever_it_is_trained_and_is_not_trained_on(coloured_trainer_of):
    trainers = [coloured_trainer_of(METHOD, **HARDLY_TAUGHT) for _ in range(2)]
    taught, again = (t.method.knowing.model.state_dict() for t in trainers)
    assert all(torch.equal(taught[name], again[name]) for name in taught)
    before = {name: value.clone() for name, value in taught.items()}
    assert trainers[0].run_epoch()
    after = trainers[0].method.knowing.model
    assert all(torch.equal(before[name], value) for name, value in after.state_dict().items())
    assert all(parameter.grad is None for parameter in after.parameters())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"backbone": "decoy-cnn"}, "TwoConvolutions is not: take lenet"),
        ({"teacher": "digits"}, "--teacher digits has 10 classes and the pictures 3"),
        ({"teacher": "nothing"}, "nothing"),
    ],
)
def test_what_cannot_teach_is_refused(coloured_trainer_of, flags, said):
    with pytest.raises(UserError, match=said):
        coloured_trainer_of(METHOD, **{**HARDLY_TAUGHT, **flags})


def test_no_steps_are_refused():
    with pytest.raises(UserError, match="--teacher-steps must be 1 or more, got 0"):
        method_class(METHOD)(teacher_steps=0).check(SimpleNamespace(epochs=30))
