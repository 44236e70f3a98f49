"""One thread a test process: the suite shares two cores with the games that it plays."""

import torch

torch.set_num_threads(1)
