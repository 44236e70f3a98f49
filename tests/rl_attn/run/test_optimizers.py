import subprocess
import sys
from copy import deepcopy

import pytest
import torch

from rl_attn.run.optimizers import eager

KINDS = {
    "Adam": {"lr": 0.1, "eps": 1e-5},
    "AdamW": {"lr": 0.1, "weight_decay": 0.1},
    "SGD": {"lr": 0.1, "momentum": 0.9},
}


@pytest.mark.parametrize("name", KINDS)
def test_its_steps_and_its_state_are_those_of_torch(name):
    kind = getattr(torch.optim, name)
    networks = [torch.nn.Linear(3, 2)]
    networks.append(deepcopy(networks[0]))
    optimizers = [
        made(network.parameters(), **KINDS[name])
        for made, network in zip((kind, eager(kind)), networks, strict=True)
    ]
    for step in range(4):
        if step == 2:  # what one has saved the other goes on with
            optimizers[1].load_state_dict(deepcopy(optimizers[0].state_dict()))
        for network, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            network(torch.full((2, 3), step + 1.0)).square().sum().backward()
            optimizer.step()
        for one, other in zip(*(network.parameters() for network in networks), strict=True):
            assert torch.equal(one, other)


def test_torch_s_compiler_is_not_imported():
    code = """
import sys, torch
from rl_attn.run.optimizers import eager
weights = torch.ones(2, requires_grad=True)
adam = eager(torch.optim.Adam)([weights])
adam.zero_grad()
weights.sum().backward()
adam.step()
adam.load_state_dict(adam.state_dict())
print('torch._dynamo' in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "False\n", ended.stderr
