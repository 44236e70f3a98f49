import pytest


@pytest.mark.slow
def test_a_mistake_is_answered_in_less_than_what_torch_takes(benchmark, monkeypatch, capsys):
    startup, found = benchmark("startup"), {}
    original = startup.measure
    monkeypatch.setattr(startup, "measure", lambda args: found.update(original(args)) or found)
    assert startup.main(["--quick"]) == 0
    (rollout,), (refused,), (torch,) = found.values()
    assert refused < torch < rollout
    assert "the first rollout of the main job" in capsys.readouterr().out


def test_a_checkout_that_cannot_start_is_named(benchmark, tmp_path):
    startup = benchmark("startup")
    (tmp_path / "rl_attn").mkdir()
    (tmp_path / "rl_attn/__init__.py").write_text("")
    with pytest.raises(RuntimeError, match="no rollout began"):
        startup.first_rollout(tmp_path, ())
