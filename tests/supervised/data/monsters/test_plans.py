"""Plans by counting: shares, disjoint splits, maps that lie."""

import numpy as np
import pytest

from rl_attn.supervised.data.monsters import plans


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows(plan: plans.Plan, *names: str) -> list[tuple[int, ...]]:
    return [tuple(row) for name in names for row in plan.splits[name].tolist()]


def pool(plan: plans.Plan) -> np.ndarray:
    return np.array(rows(plan, "train", "validation", "test"))


@pytest.mark.parametrize(
    "plan",
    [
        plans.iid(4, 3, 20, rng()),
        plans.shortcut(4, 3, 20, 3, 0.9, rng()),
        plans.groups([[0, 2], [1, 3]], [[0, 1], [2, 3]], 20, 3, 0.9, rng()),
        plans.background_shift(3, 4, 3, 20, 3, rng()),
    ],
)
def test_no_picture_is_in_two_splits(plan):
    apart = [name for name in plan.splits if name != "test-shifted"]
    everything = rows(plan, *apart)
    assert len(everything) == len(set(everything)) == plan.taken.total()
    for m, c, number in everything:
        assert number < plan.taken[m, c]


def test_iid_has_every_pair_equally_often():
    plan = plans.iid(4, 3, 20, rng())
    assert set(plan.taken.values()) == {5}
    assert {name: len(part) for name, part in plan.splits.items()} == {
        "train": 42, "validation": 9, "test": 9,
    }  # fmt: skip
    assert np.bincount(plan.splits["validation"][:, 1]).tolist() == [3, 3, 3]


def test_shortcut_tells_and_lies():
    plan = plans.shortcut(maps=5, classes=4, pictures=40, extra=2, bias=0.95, rng=rng())
    own = pool(plan)[:, 0] == pool(plan)[:, 1]
    assert own.sum() == 4 * 38 and len(own) == 160
    shifted, unbiased = plan.splits["test-shifted"], plan.splits["test-unbiased"]
    assert (shifted[:, 0] != shifted[:, 1]).all() and len(shifted) == 4 * 4 * 2
    assert len(unbiased) == 4 * 5 * 2
    assert set(rows(plan, "test-shifted")) < set(rows(plan, "test-unbiased"))
    assert len(plan.splits["validation-unbiased"]) == 4 * 5


def test_groups_are_rare_in_the_pool_and_equal_in_the_test():
    places, kinds = [[0, 2], [1]], [[0, 1], [2]]
    plan = plans.groups(places, kinds, pictures=20, extra=2, bias=0.9, rng=rng())
    kind, place = pool(plan)[:, 1] >= 2, pool(plan)[:, 0] == 1
    assert ((kind == place).sum(), len(kind)) == (3 * 18, 60)
    test = plan.splits["test-unbiased"]
    assert np.bincount(test[:, 0] * 3 + test[:, 1]).tolist() == [2] * 9


def test_background_shift_keeps_new_maps_out_of_the_pool():
    plan = plans.background_shift(seen=3, maps=4, classes=2, pictures=9, extra=3, rng=rng())
    assert pool(plan)[:, 0].max() == plan.splits["test-original"][:, 0].max() == 2
    assert set(plan.splits["test-new-maps"][:, 0]) == {3}
    assert len(plan.splits["test-original"]) == len(plan.splits["test-new-maps"]) == 6


def test_spread_by_hand():
    assert plans.spread(7, [4, 5, 6]) == [(4, 3), (5, 2), (6, 2)]
