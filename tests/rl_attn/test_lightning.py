"""The Lightning example of the docs trains, and its attention moves to the mask."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from two_squares import inside, pictures, small_network

lightning = pytest.importorskip("lightning")

from rl_attn.lightning import AttentionLoss  # noqa: E402


class Classifier(lightning.LightningModule):
    """A user's, which knows nothing of attention."""

    def __init__(self):
        super().__init__()
        self.model = small_network()

    def training_step(self, batch, _):
        images, labels, _ = batch
        return F.cross_entropy(self.model(images), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 3e-3)


def trained(weight: float) -> tuple[Classifier, lightning.Trainer]:
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = lightning.Trainer(
        max_epochs=25, accelerator="cpu", callbacks=[AttentionLoss(weight=weight)], **quiet
    )
    module = Classifier()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, DataLoader(TensorDataset(*pictures(32)), batch_size=16))
    return module, trainer


def test_a_callback_moves_the_attention_to_the_mask_and_leaves_nothing_behind():
    plain, _ = trained(0.0)
    guided, trainer = trained(2.0)
    assert inside(guided.model) > inside(plain.model) + 0.15
    assert trainer.callback_metrics["attention/loss"] < 0  # alpha is above beta
    assert "training_step" not in vars(guided) and not guided.model._forward_hooks
    images, labels, _ = pictures(32)
    assert (guided.model(images).argmax(1) == labels).all()
