"""An attention loss in any LightningModule's training, by a callback.

    from rl_attn.lightning import AttentionLoss

    trainer = lightning.Trainer(callbacks=[AttentionLoss("model", weight=1.0)])
    trainer.fit(module, loader)          # whose batches are (images, labels, masks)

The module's `training_step` stays as it is: the forward of `module.model` that it makes is heard,
and the loss that it returns gets the attention loss added, before Lightning scales, accumulates or
differentiates it. The log has it as `attention/loss`.

Needs the extra: pip install 'rl-attn[lightning]'
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError:
    raise ImportError(
        "rl_attn.lightning needs lightning: pip install 'rl-attn[lightning]'"
    ) from None

from rl_attn.attention import Attention, camal, tap
from rl_attn.attention.labelled import attention_loss


def labels_and_masks(batch: Any) -> tuple[Tensor, Tensor]:
    """Of a batch (images, labels, masks), or a dictionary with `labels` and `masks`."""
    return (batch["labels"], batch["masks"]) if isinstance(batch, dict) else (batch[1], batch[2])


class AttentionLoss(Callback):
    """See the head of this file."""

    def __init__(
        self,
        model: str = "model",
        layer: str | None = None,
        weight: float = 1.0,
        loss: Callable[[Attention, Tensor], Tensor] = camal,
        attention: str = "grad-cam",
        targets: Callable[[Any], tuple[Tensor, Tensor]] = labels_and_masks,
    ):
        """
        Args:
            model: the attribute of the module that gives logits; "" for the module itself.
            layer: whose feature maps are the attention; None: the standard target layer.
            weight: of the attention loss beside the module's own.
            loss, attention: see `attention_loss`.
            targets: labels (B,) and masks (B, H, W) of a batch.
        """
        self.model, self.layer, self.weight = model, layer, weight
        self.loss, self.attention, self.targets = loss, attention, targets

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step, network = pl_module.training_step, pl_module.get_submodule(self.model)

        def training_step(batch: Any, *rest: Any) -> Any:
            heard: list[Any] = []
            handle = network.register_forward_hook(lambda *call: heard.append(call[-1]))
            try:
                with tap(network, self.layer) as features:
                    result: Any = step(batch, *rest)
            finally:
                handle.remove()
            if not heard or result is None:
                return result
            logits = getattr(heard[-1], "logits", heard[-1])
            extra = attention_loss(
                features, logits, *self.targets(batch), self.loss, self.attention
            )
            pl_module.log("attention/loss", extra.detach())
            if isinstance(result, dict):
                return {**result, "loss": result["loss"] + self.weight * extra}
            return result + self.weight * extra

        pl_module.training_step = training_step

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        vars(pl_module).pop("training_step", None)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self.on_fit_end(trainer, pl_module)
