"""The example of transformers' Trainer in the docs trains, and its attention moves to the mask."""

import pytest
import torch
from two_squares import Dictionaries, inside, small_network

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from transformers.modeling_outputs import ImageClassifierOutput  # noqa: E402

from rl_attn.huggingface import AttentionTrainer  # noqa: E402


class Model(torch.nn.Module):
    """What transformers' image classifiers take and give."""

    def __init__(self):
        super().__init__()
        self.network = small_network()

    def forward(self, pixel_values, labels=None):
        logits = self.network(pixel_values)
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


def trained(folder, weight: float, accumulated: int = 1, epochs: int = 25) -> AttentionTrainer:
    args = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=epochs, learning_rate=3e-3, report_to="none",
        per_device_train_batch_size=16 // accumulated, gradient_accumulation_steps=accumulated,
        use_cpu=True, save_strategy="no", disable_tqdm=True, logging_steps=10, seed=1,
        lr_scheduler_type="constant",
    )  # fmt: skip
    trainer = AttentionTrainer(
        model=Model(), args=args, train_dataset=Dictionaries(), attention_weight=weight
    )
    trainer.train()
    return trainer


def test_the_trainer_moves_the_attention_to_the_mask(tmp_path):
    plain, guided = trained(tmp_path, 0.0), trained(tmp_path, 2.0)
    assert inside(guided.model.network) > inside(plain.model.network) + 0.15
    logged = [row["attention_loss"] for row in guided.state.log_history if "loss" in row]
    assert logged[-1] < 0 < len(logged)
    assert guided.evaluate(Dictionaries())["eval_loss"] < 0.1  # masks are left aside


def test_accumulated_steps_weigh_the_loss_as_one_batch_does(tmp_path):
    whole, parts = (trained(tmp_path, 2.0, n, epochs=1).model.network for n in (1, 2))
    torch.testing.assert_close(whole.state_dict(), parts.state_dict(), atol=1e-4, rtol=1e-3)
