# %% [markdown]
# # A loss on a map, in 20 lines
#
# Bars in the middle of a picture are upright or level: that is the class. A bright corner gives it
# away. A network is trained as usual, and once more with a loss on where it looks.

# %%
import torch
import torch.nn.functional as F
from torch import nn

from rl_attn.attention import Attention, camal, grad_cam, measure, tap

torch.manual_seed(0)
y = torch.randint(2, (64,))
bars = (torch.arange(8) % 2).float().expand(8, 8)
x = 0.2 * torch.rand(64, 1, 16, 16)
x[:, 0, 4:12, 4:12] += 0.5 * torch.where(y[:, None, None] == 1, bars, bars.T)
x[y == 1, :, :3, :3] = x[y == 0, :, -3:, -3:] = 1  # the shortcut
mask = torch.zeros(64, 16, 16)
mask[:, 4:12, 4:12] = 1  # what matters


def train(weight: float) -> nn.Module:
    """weight: of the loss on the map; 0 is plain training."""
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()]
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(8 * 12 * 12, 2))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        with tap(model, "3") as features:
            logits = model(x)
        attention = grad_cam(logits.gather(1, y[:, None])[:, 0], features(), dead="signed")
        loss = F.cross_entropy(logits, y) + weight * camal(attention, mask).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


# %% [markdown]
# Both tell the classes apart. The first looks at the corners, the second at the bars.

# %%
for weight in (0.0, 1.0):
    model = train(weight)
    with tap(model, "3") as features:
        logits = model(x)
    found = grad_cam(logits.gather(1, y[:, None])[:, 0], features())
    inside = measure(Attention(found.detach(), features.cells), mask)["energy_inside"].mean()
    accuracy = (logits.argmax(1) == y).float().mean()
    print(f"weight {weight}: accuracy {accuracy:.2f}, attention inside the mask {inside:.2f}")
