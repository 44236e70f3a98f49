"""Where the data sets that do not come with a package may be found; the generator beside them."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """$RL_ATTN_DATA, or a folder shared/data in one of the folders above the repository."""
    named = os.environ.get("RL_ATTN_DATA")
    places = [Path(named)] if named else [p / "shared/data" for p in Path(__file__).parents]
    for place in places:
        if place.is_dir():
            return place
    pytest.skip("no folder with data: set RL_ATTN_DATA to the one that holds mnist and busi_256")
