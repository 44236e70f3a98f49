"""What `rl-attn watch` and `rl-attn demo` do with agents: show them until Ctrl-C."""

import contextlib
import webbrowser

import torch

from rl_attn.live.page import serving
from rl_attn.live.show import KEYS, Show


def on_a_page(show: Show, title: str, about: str, port: int, browser: bool) -> int:
    """Serve the page, open it in a browser if asked, and play until Ctrl-C; the exit status."""
    torch.set_num_threads(1)  # a frame at a time is too little for more
    with show, serving(show, title, about, port) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        print(f"the page is at {address}; Ctrl-C ends it", flush=True)
        print("keys: " + ", ".join(f"{_name(key)} {what}" for key, what in KEYS.items()))
        if browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
    return 0


def _name(key: str) -> str:
    return {" ": "space"}.get(key, key)
