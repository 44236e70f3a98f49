import webbrowser

import pytest

from rl_attn import watch
from rl_attn.errors import UserError
from rl_attn.live.page import PageServer


@pytest.mark.parametrize(
    ("words", "reason"),
    [([], "no run is given"), (["nowhere"], "run folder nowhere does not exist")],
)
def test_what_cannot_be_watched_is_refused(words, reason):
    with pytest.raises(UserError, match=reason):
        watch.main(words)


def test_a_run_is_watched_until_ctrl_c(tiny_run, monkeypatch, capsys):
    def interrupt(self):
        raise KeyboardInterrupt

    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(PageServer, "wait", interrupt)
    assert watch.main([str(tiny_run), "--port", "0"]) == 0
    address = opened[0]
    assert f"the page is at {address}; Ctrl-C ends it" in capsys.readouterr().out
