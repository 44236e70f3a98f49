"""An attention loss in transformers' Trainer, by a class in its place.

    from rl_attn.huggingface import AttentionTrainer

    trainer = AttentionTrainer(model=model, args=args, train_dataset=dataset, attention_weight=1.0)
    trainer.train()                      # of dictionaries of pixel_values, labels and masks

The masks never reach the model. Evaluation and prediction leave them aside. The log has the loss
as `attention_loss`. `AttentionMixin` does the same to a Trainer of your own:
`class Mine(AttentionMixin, MyTrainer): ...`.

Needs the extra: pip install 'rl-attn[transformers]'
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

try:
    from transformers import Trainer
except ImportError:
    raise ImportError(
        "rl_attn.huggingface needs transformers: pip install 'rl-attn[transformers]'"
    ) from None

from rl_attn.attention import Attention, camal, tap
from rl_attn.attention.labelled import attention_loss


class AttentionMixin:
    """See the head of this file."""

    def __init__(
        self,
        *arguments: Any,
        layer: str | None = None,
        attention_weight: float = 1.0,
        loss: Callable[[Attention, Tensor], Tensor] = camal,
        attention: str = "grad-cam",
        **settings: Any,
    ):
        """
        Args:
            layer: whose feature maps are the attention; None: the standard target layer.
            attention_weight: of the attention loss beside the model's own.
            loss, attention: see `attention_loss`.
            arguments, settings: the Trainer's.
        """
        super().__init__(*arguments, **settings)
        self.layer, self.attention_weight = layer, attention_weight
        self.loss, self.attention = loss, attention
        trainer: Any = self
        trainer.args.remove_unused_columns = False  # else the masks would be taken out
        # The loss is a mean over the batch, which the Trainer then divides by accumulated steps.
        trainer.model_accepts_loss_kwargs = False
        self._losses: list[Tensor] = []

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **rest: Any
    ) -> Any:
        trainer: Any = super()
        inputs = dict(inputs)
        masks = inputs.pop("masks", None)
        if masks is None or not (model.training and torch.is_grad_enabled()):
            return trainer.compute_loss(model, inputs, return_outputs, **rest)
        labels: Tensor = inputs["labels"]  # before a label smoother takes them
        with tap(model, self.layer) as features:
            loss, outputs = trainer.compute_loss(model, inputs, True, **rest)
        extra = attention_loss(features, outputs.logits, labels, masks, self.loss, self.attention)
        self._losses.append(extra.detach())
        loss = loss + self.attention_weight * extra
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], *rest: Any, **named: Any) -> None:
        if self._losses and "loss" in logs:
            logs["attention_loss"] = torch.stack(self._losses).mean().item()
            self._losses.clear()
        trainer: Any = super()
        trainer.log(logs, *rest, **named)


class AttentionTrainer(AttentionMixin, Trainer):
    """transformers' Trainer with an attention loss."""
