"""VAPL's g: from a mask's confidence to its weight (Zhang et al. 2024, Eq. 2 and Fig. 3).

    h^(k+1) = sigma(phi(W^(k)) h^(k))

A multilayer perceptron that cannot decrease, since phi(W) = exp(W) is positive and sigma
increasing, and has g(0) = 0, since there are no biases and sigma(0) = 0. g(1) = 1 is a penalty,
L_Agg = (g(1) - 1)^2: the paper says "commonly the l2-norm", whose gradient
does not fade where the constraint holds. Tried so, with an earlier form of g, it stayed near the
line that it begins as.

The paper leaves sigma open. With positive weights tanh, or any other concave sigma, makes every g
concave: masks of low confidence could only gain. So, as Runje and Shankaranarayana (Constrained
Monotonic Neural Networks, 2023) do, half of the hidden units take tanh and half a convex sigma,
x - tanh(x); the output is linear, so that 1 can be reached. The two add up to x: g begins as the
identity, which is what VAPL-4 keeps.
"""

from math import log

import torch
from torch import Tensor, nn


class MaskWeighting(nn.Module):
    """Confidences in [0, 1], of any shape, to weights of that shape: g(0) = 0, g(1) near 1."""

    def __init__(self, pairs: int = 8):
        super().__init__()
        slopes = torch.linspace(-1, 2, pairs)  # logarithms, from gentle to steep
        self.hidden = nn.Parameter(torch.cat([slopes, slopes]))  # W^(1): concave, then convex
        self.output = nn.Parameter(torch.cat([-slopes, -slopes]) - log(pairs))  # W^(2)

    def forward(self, confidence: Tensor) -> Tensor:
        x = confidence[..., None] * self.hidden.exp()  # (..., units)
        concave, convex = x.chunk(2, dim=-1)
        h = torch.cat([concave.tanh(), convex - convex.tanh()], dim=-1)
        return (h * self.output.exp()).sum(-1)

    def end_error(self) -> Tensor:
        """L_Agg = (g(1) - 1)^2, a scalar."""
        return (self(self.output.new_ones(())) - 1).square()
