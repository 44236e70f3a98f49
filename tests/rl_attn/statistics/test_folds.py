import numpy as np
import pytest
from scipy import stats

from rl_attn.statistics import corrected_t, wilcoxon


def rng(seed=0):
    return np.random.default_rng(seed)


def test_wilcoxon_by_hand():
    # Differences 1, 2, -3: ranks 1, 2, 3. Of 8 signs, those with R+ >= 3: 5.
    found = wilcoxon([2, 3, 0], [1, 1, 3])
    assert (found.plus, found.minus, found.statistic) == (3.0, 3.0, 3.0)
    assert found.p_value == pytest.approx(5 / 8)


def test_ten_folds_all_won():
    theirs = rng().random(10)
    found = wilcoxon(theirs + np.linspace(0.1, 0.2, 10), theirs)
    assert (found.plus, found.minus) == (55.0, 0.0)
    assert found.p_value == pytest.approx(2**-10)
    assert wilcoxon(theirs, theirs + np.linspace(0.1, 0.2, 10)).p_value == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_is_scipys(seed):
    ours, theirs = rng(seed).normal(0.3, 1, 10), rng(seed + 100).normal(0, 1, 10)
    found = wilcoxon(ours, theirs)
    one = stats.wilcoxon(ours, theirs, alternative="greater")
    assert found.p_value == pytest.approx(one.pvalue) and found.plus == one.statistic
    assert found.statistic == stats.wilcoxon(ours, theirs).statistic  # two-sided: the minimum


def test_ties_and_zeros():
    found = wilcoxon([1, 2, 3, 4], [1, 1, 2, 5])  # differences 0, 1, 1, -1: mean rank 2
    assert (found.plus, found.minus) == (4.0, 2.0)
    assert wilcoxon([1, 2], [1, 2]) == (0.0, 0.0, 1.0)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="without NaN"):
        wilcoxon([1.0, np.nan], [0.0, 0.0])


def test_corrected_t_by_hand():
    # Differences 1, 2, 3: mean 2, variance 1; error sqrt(1/3 + 1/9) = 2/3, t = 3 with 2 degrees of
    # freedom, whose upper tail is (1 - 3 / sqrt(11)) / 2.
    found = corrected_t([2, 4, 6], [1, 2, 3], 1 / 9)
    assert found.t == pytest.approx(3)
    assert found.p_value == pytest.approx((1 - 3 / 11**0.5) / 2)


def test_corrected_t_is_the_paired_t_test_where_nothing_is_shared():
    ours, theirs = rng(1).normal(0.3, 1, 10), rng(2).normal(0, 1, 10)
    found, one = (
        corrected_t(ours, theirs, 0.0),
        stats.ttest_rel(ours, theirs, alternative="greater"),
    )
    assert found == pytest.approx((one.statistic, one.pvalue))
    assert corrected_t(ours, theirs, 1 / 9).p_value > found.p_value  # ours are ahead


def test_corrected_t_at_the_edges():
    assert corrected_t([1, 2], [1, 2], 0.1) == (0.0, 0.5)
    assert corrected_t([2, 3], [1, 2], 0.1) == (np.inf, 0.0)
    assert corrected_t([1, 2], [2, 3], 0.1) == (-np.inf, 1.0)
    with pytest.raises(ValueError, match="2 or more"):
        corrected_t([1.0], [0.0], 0.1)
