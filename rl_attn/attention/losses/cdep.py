"""CDEP: penalise what contextual decomposition finds in forbidden pixels (Rieger et al. 2020).

Contextual decomposition splits each logit into what a set of pixels gives and what the rest does.
CDEP's penalty, for pixels that should not matter, is their share after a softmax over the two,
averaged over classes.

    cdep(*contextual_decomposition(model, images, 1 - mask))
"""

from torch import Tensor


def cdep(relevant: Tensor, irrelevant: Tensor) -> Tensor:
    """CDEP (Rieger et al. 2020): mean over classes of softmax((relevant, irrelevant))_1, (B,).

    Args:
        relevant: (B, classes), the logits' part from the forbidden pixels, i.e. of 1 - mask.
        irrelevant: (B, classes), the rest of the logits.

    >>> cdep(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]))  # half of each logit
    tensor([0.5000])
    """
    if relevant.shape != irrelevant.shape or relevant.ndim != 2:
        raise ValueError(
            f"cdep needs two scores (B, classes), got {tuple(relevant.shape)} and "
            f"{tuple(irrelevant.shape)}"
        )
    return (relevant - irrelevant).sigmoid().mean(1)  # a softmax over two, without overflow
