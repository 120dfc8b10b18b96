"""The main job, whole: the demonstration with the real bot, the real worker and a tiny base, as processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.loopback import demo
from storage.lora_file.header import read_header
from tests.builders import tiny_base


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline with random weights."""
    return tiny_base(tmp_path_factory.mktemp("base"), channels=(16, 32))


async def test_pictures_become_a_voted_lora_with_a_measured_scale(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORASMITH_BASE_POCKET", str(base))
    monkeypatch.setenv("LORASMITH_THREADS", "1")  # a tiny base loses more by handing over than it wins
    out = tmp_path / "trip"
    code = await demo.run(demo.arguments(["--steps", "2", "--name", "Blue robot", "--out", str(out)]))
    logs = "\n".join(p.read_text()[-2000:] for p in out.glob("*.log"))
    assert code == 0, logs
    result = json.loads((out / "result.json").read_text())
    votes = {c["step"]: c["votes"] for c in result["checkpoints"]}
    assert sorted(votes) == [1, 2]
    winner = result["chosen_step"]
    assert result["chosen_because"] == "votes"
    assert winner != result["measured_best"], "the members voted against the measured best, and won"
    assert votes[winner] == 3, "two, and one who voted while the bot was down"
    assert votes[3 - winner] == 1, "one, and one who took the vote back"
    low, high = result["scale_band"]
    assert low <= result["recommended_scale"] <= high
    header = read_header(Path(result["lora"]))
    assert header.metadata["ss_network_dim"] == str(result["plan"]["rank"])
    notes = json.loads(Path(result["sidecar"]).read_text())
    assert result["trigger"] in notes["activation text"]
    assert notes["preferred weight"] == pytest.approx(result["recommended_scale"])
    assert sorted(p.name for p in (out / "grids").iterdir()) == [f"{result['order']}-{s}.png" for s in (1, 2)]
    assert result["trigger"] in (out / "page.html").read_text()
    for name in ("queued", "training", "voting", "scaling", "delivering"):
        assert result["seconds"][name] >= 0
