"""A run that is killed leaves a whole snapshot behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.optim import AdamW

from trainer.pocket import snapshots
from trainer.pocket.denoiser_training import _listen_for_stop
from trainer.pocket.snapshots import Average, load_snapshot, optimizer_tensors, restore_optimizer, save_snapshot


def test_tensors_and_numbers_come_back(tmp_path: Path) -> None:
    save_snapshot(tmp_path / "a.safetensors", {"x": torch.arange(3)}, {"elapsed_s": 1.5})
    tensors, numbers = load_snapshot(tmp_path / "a.safetensors")
    assert torch.equal(tensors["x"], torch.arange(3))
    assert numbers == {"elapsed_s": 1.5}


def test_a_write_that_breaks_off_leaves_the_former_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_snapshot(path, {"x": torch.ones(2)}, {})

    def broken(_tensors: object, where: Path, **_named: object) -> None:
        where.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(snapshots, "save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        save_snapshot(path, {"x": torch.zeros(2)}, {})
    assert torch.equal(load_snapshot(path)[0]["x"], torch.ones(2))


def test_an_optimizer_goes_on_as_if_it_had_never_stopped() -> None:
    first, second = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    one = AdamW([first], lr=0.1)
    for _ in range(3):
        first.grad = torch.arange(3.0)
        one.step()
    other = AdamW([second], lr=0.1)
    with torch.no_grad():
        second.copy_(first)
    restore_optimizer(other, {name: value.clone() for name, value in optimizer_tensors(one).items()})
    for parameter, optimizer in ((first, one), (second, other)):
        parameter.grad = torch.ones(3)
        optimizer.step()
    assert torch.equal(first, second)


def test_the_average_forgets_its_start_quickly_and_then_moves_slowly() -> None:
    value = torch.zeros(1)
    average = Average([value], 0.99)
    value.fill_(1.0)
    average.follow([value])
    assert average.values[0].item() > 0.5
    for _ in range(2000):
        average.follow([value])
    value.fill_(0.0)
    average.follow([value])
    assert average.values[0].item() == pytest.approx(0.99, abs=0.001)


@pytest.fixture
def former_handler() -> Iterator[None]:
    former = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, former)


def test_a_request_to_end_is_heard_and_does_not_kill(former_handler: None) -> None:
    received = _listen_for_stop()
    os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]
