"""`python -m rl_attn ...` is `rl-attn ...`."""

from rl_attn.commands import run

run()
