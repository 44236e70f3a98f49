"""Whether the attention of a network can be trained, asked before the first epoch."""

import warnings

import torch

from rl_attn.attention import MAPS, TapWarning, check_tap
from rl_attn.attention.tap_checks import mixed_pixels
from rl_attn.errors import UserError
from rl_attn.supervised.batches import Batch
from rl_attn.supervised.network import Network


def check(network: Network, batch: Batch, batch_maps: str) -> None:
    """`check_tap` on one batch: what is fatal is refused, the rest is printed.

    Maps of mixed samples are refused too, unless `batch_maps` says otherwise.
    """
    rows = torch.arange(len(batch.labels), device=batch.labels.device)

    def score(logits: torch.Tensor) -> torch.Tensor:
        return logits[rows, batch.labels]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TapWarning)
        findings = check_tap(
            network.model,
            batch.pictures,
            layer=network.layer,
            score=score,
            strict=False,
        )
    fatal = [finding for finding in findings if finding.fatal]
    if fatal:
        said = " ".join(map(str, fatal))
        raise UserError(f"attention at {network.layer!r} cannot be trained: {said}")
    for finding in findings:
        if finding.trap != "mixed samples":
            print(f"note: {finding}", flush=True)
        elif batch_maps == "refuse":
            raise UserError(
                f"attention at {network.layer!r}: {finding.reason}: take --batch-norm group or "
                "frozen, a layer with nothing but a pool and a linear layer above it (of small "
                "images with --stem small), --batch-maps per-sample, or --batch-maps mixed for the "
                "mixture"
            )
    if MAPS.kinds[network.attention] != "pixels" or batch_maps == "mixed":
        return
    if finding := mixed_pixels(network.model, batch.pictures, score):
        raise UserError(
            f"--attention {network.attention}: {finding.reason}: take --batch-norm group or "
            "frozen, or --batch-maps mixed for the mixture"
        )
