"""How ranks and mini-batches average what is logged: by what an entry says, not by its name."""

import pytest
import torch
import torch.distributed as dist

from rl_attn.rl.distributed import ALONE, Ranks
from rl_attn.rl.entries import Entry, entry, over, summed, values_of


def test_a_mean_over_some_samples_by_hand():
    values, chosen = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False])
    found = over(values, chosen)
    assert found.value.item() == 1.5 and found.weight.item() == pytest.approx(2 / 3)
    assert over(values, torch.zeros(3)).value.item() == 0.0


def test_ranks_join_their_parts_as_the_entries_say(monkeypatch):
    """Three samples here, one there: as one rank would see all four."""
    values = torch.tensor([1.0, 2.0, 6.0, 7.0])
    chosen = torch.tensor([1, 0, 0, 1])

    def parts(rows):
        v, c = values[rows], chosen[rows]
        return {"mean": v.mean(), "some": over(v, c), "none": over(v, c * 0), "sum": summed(v)}

    tables = []
    monkeypatch.setattr(dist, "all_reduce", lambda table: tables.append(table.clone()))
    for rows, share in ((slice(0, 3), 0.75), (slice(3, 4), 0.25)):
        Ranks(0, 2).merged(parts(rows), share)
    monkeypatch.setattr(dist, "all_reduce", lambda table: table.copy_(sum(tables)))
    merged = Ranks(0, 2).merged(parts(slice(0, 3)), 0.75)
    whole = ALONE.merged(parts(slice(None)), 1.0)
    for name, one in whole.items():
        assert merged[name].value.item() == pytest.approx(one.value.item()), name
        assert merged[name].summed == one.summed


def test_a_rank_without_samples_adds_nothing_to_a_sum(monkeypatch):
    seen = []
    monkeypatch.setattr(dist, "all_reduce", lambda table: seen.append(table.clone()))
    Ranks(1, 2).merged({"sum": summed(torch.tensor([5.0]))}, 0.0)
    assert seen[0][0, 0] == 0.0


def test_values_come_as_one_table():
    steps = [{"a": entry(torch.tensor(1.0)), "b": Entry(torch.tensor(2.0))}, {"a": entry(3.0)}]
    steps[1]["b"] = entry(torch.tensor(4.0))
    names, table = values_of(steps)
    assert names == ["a", "b"] and table.tolist() == [[1.0, 2.0], [3.0, 4.0]]
