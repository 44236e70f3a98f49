"""Means with their normal intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval.

    >>> Interval(mean=2.0, low=1.0, high=3.0).low
    1.0
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean +- 1.96 standard errors (CAMAL, section 4); NaNs are left out.

    One value has no spread to judge by: its interval is NaN. No value at all: everything is.

    >>> mean, low, high = mean_interval([1.0, 2.0, 3.0])
    >>> round(low, 2), round(high, 2)
    (0.87, 3.13)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if len(known) == 0:
        return Interval(np.nan, np.nan, np.nan)
    center = float(known.mean())
    if len(known) == 1:
        return Interval(center, np.nan, np.nan)
    half = 1.96 * float(known.std(ddof=1)) / len(known) ** 0.5
    return Interval(center, center - half, center + half)
