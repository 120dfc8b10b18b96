"""The named gaps: nothing without the variable, one kill at the named gap with it, and proof that it was there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage import faults

PASS = "from storage.faults import gap; [print(n, gap('step'), gap('sweep'), flush=True) for n in range(4)]"


def passed(fault: str | None, mark: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORASMITH_FAULT")}
    if fault is not None:
        environment |= {"LORASMITH_FAULT": fault, "LORASMITH_FAULT_MARK": str(mark)}
    return subprocess.run([sys.executable, "-c", PASS], env=environment, capture_output=True, text=True, check=False)


def test_without_the_variable_a_gap_does_nothing(tmp_path: Path) -> None:
    assert passed(None, tmp_path / "mark").returncode == 0


def test_the_process_dies_at_the_nth_pass_of_that_gap_and_leaves_its_mark(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    done = passed("sweep:3", mark)
    assert (done.returncode, len(done.stdout.splitlines())) == (-9, 2)
    assert mark.exists()
    assert passed("sweep:3", mark).returncode == 0, "one kill a mark: the restarted process lives"


def test_a_gap_that_is_never_passed_leaves_no_mark(tmp_path: Path) -> None:
    assert passed("upload:1", tmp_path / "mark").returncode == 0
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("wrong", ["stp:1", "step", "step:x", "step:"])
def test_a_misspelt_fault_is_an_error_and_not_silence(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_FAULT", wrong)
    with pytest.raises(ValueError, match="<gap>:<n>"):
        faults.gap("step")
