"""Agents that play while somebody watches: what `rl-attn watch` and `rl-attn demo` share.

`show.py` plays and obeys keys, `page.py` shows it in a browser and `window.py` in a window of
OpenCV's. Neither knows what is played.
"""
