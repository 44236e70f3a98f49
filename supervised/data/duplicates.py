"""Pictures that show the same thing twice, which must not be on both sides of a test.

Two pictures count as one if their 32x32 grey thumbnails correlate above a threshold; what hangs
together through a chain of such pairs is one cluster. Correlation forgives brightness, contrast and
small annotations. On the BUSI set the threshold of 0.95 sits where it separates: every pair above
it is the same lesion (looked at one by one from 0.99 down), and below 0.94 come different ones.
"""

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from rl_attn.supervised.data.resize import resize

THUMBNAIL, THRESHOLD = 32, 0.95
_CHUNK = 1024  # pictures compared with all others at a time


def clusters(images: Tensor, threshold: float = THRESHOLD) -> np.ndarray:
    """The cluster of each picture: uint8 (N, C, H, W) -> int (N,), equal for duplicates."""
    grey = resize(images, THUMBNAIL).float().mean(1).flatten(1)  # (N, 32 * 32)
    centred = grey - grey.mean(1, keepdim=True)
    unit = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-6)
    pairs = [
        (unit[first : first + _CHUNK] @ unit.T > threshold).nonzero() + torch.tensor([first, 0])
        for first in range(0, len(unit), _CHUNK)
    ]
    rows, columns = torch.cat(pairs).T.numpy()
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), (len(unit), len(unit)))
    return connected_components(graph, directed=False)[1]


def representatives(cluster: np.ndarray, labels: Tensor) -> Tensor:
    """Indices of the pictures to keep, sorted: the first of each cluster.

    A cluster whose pictures have different labels is dropped whole: some label of it is wrong.
    """
    keep = []
    for number in np.unique(cluster):
        members = np.flatnonzero(cluster == number)
        if len(labels[members].unique()) == 1:
            keep.append(int(members[0]))
    return torch.tensor(sorted(keep), dtype=torch.int64)
