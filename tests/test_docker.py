"""What the images keep: nothing here builds them."""

from __future__ import annotations

import re
from pathlib import Path

DOCKER = Path(__file__).parents[1] / "docker"


def test_fetched_base_models_lie_in_the_volume_that_outlives_a_container() -> None:
    image = (DOCKER / "worker.Dockerfile").read_text()
    found = re.search(r"HF_HOME=(\S+)", image)
    assert found is not None
    volume = re.search(r"^VOLUME (\S+)$", image, re.MULTILINE)
    assert volume is not None
    assert found[1].startswith(f"{volume[1]}/")
    assert f'"data:{volume[1]}"' in (DOCKER / "compose.yaml").read_text()
