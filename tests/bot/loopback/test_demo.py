"""What the demonstration refuses before it starts anything."""

from __future__ import annotations

import argparse
import types
from pathlib import Path
from typing import Any

import pytest

from bot.loopback.demo import arguments
from bot.loopback.demo_trip import Trip


def test_a_second_demonstration_needs_a_folder_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(["--out", str(tmp_path)]).out == tmp_path
    assert arguments(["--out", str(tmp_path / "new")]).out == tmp_path / "new"
    (tmp_path / "lorasmith.db").touch()
    with pytest.raises(SystemExit):
        arguments(["--out", str(tmp_path)])
    assert "needs a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "taken"), [(3, False), (30, True), (31, False)])
async def test_no_given_picture_is_left_out_in_silence(tmp_path: Path, count: int, taken: Any) -> None:
    for n in range(count):
        (tmp_path / f"{n:02}.png").touch()
    nothing: Any = types.SimpleNamespace()
    options = argparse.Namespace(images=tmp_path, class_word="cat")
    trip = Trip(options=options, house=nothing, people=nothing, screen=nothing)
    if taken:
        assert len((await trip.pictures())[0]) == count
    else:
        with pytest.raises(SystemExit, match=f"holds {count} pictures"):
            await trip.pictures()
