"""Evidence alignment: what each cell says of each class, as another network has it.

A mask says where the true class is seen and leaves the maps of all others free. A segmentation
network says of each cell which class it belongs to, a distribution over classes; so do the class
activation maps of a classifier (Zhou et al. 2016) once a softmax is taken over them.
"""

from torch import Tensor


def evidence_alignment(evidence: Tensor, wanted: Tensor) -> Tensor:
    """KL(wanted || evidence) over classes, averaged over cells, (B,) in nats.

    It is the distillation loss of Hinton et al. (2015) at temperature 1, cell by cell.

    Args:
        evidence, wanted: (B, classes, h, w), unbounded: each cell's logits, as `cam` with
            labels=None, relu=False and normalization="none" gives them.

    >>> evidence = torch.zeros(1, 2, 1, 1)
    >>> wanted = torch.tensor([3.0, 1.0]).log().reshape(1, 2, 1, 1)
    >>> evidence_alignment(evidence, wanted)  # ln 2 less the entropy of (3/4, 1/4)
    tensor([0.1308])
    """
    if evidence.shape != wanted.shape or evidence.ndim != 4:
        raise ValueError(
            "evidence_alignment needs two tensors (B, classes, h, w), got "
            f"{tuple(evidence.shape)} and {tuple(wanted.shape)}"
        )
    found, target = evidence.log_softmax(1), wanted.log_softmax(1)
    return (target.exp() * (target - found)).sum(1).mean((1, 2))
