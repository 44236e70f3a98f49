from rl_attn.run.ending import say


def test_commands_are_said_as_they_have_to_be_typed(capsys, monkeypatch):
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    say(done="runs/a", next="rl-attn watch runs/a")
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH")
    say(next="rl-attn watch runs/a")
    assert capsys.readouterr().out.splitlines() == [
        "done  runs/a",
        "next  uv run rl-attn watch runs/a",
        "next  rl-attn watch runs/a",
    ]
