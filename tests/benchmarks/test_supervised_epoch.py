import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_lightnings_loop_joins_in_where_it_is_installed(monkeypatch):
    import supervised_epoch

    args = supervised_epoch.EpochSettings()
    for there in (True, False):
        monkeypatch.setattr(supervised_epoch, "find_spec", lambda name, there=there: there or None)
        names = [entry.name for entry in supervised_epoch.entries(args)]
        assert ("Lightning's loop" in names) == there
        assert names[:2] == ["straightforward loop", "supervised.train"]
    args.seeds = True
    assert len(supervised_epoch.entries(args)) == 2
