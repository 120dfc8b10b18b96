"""What the child's tests share: one random base with a random judge, and a child in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.domain.plan import Plan
from tests.builders import make_job, tiny_base
from trainer.events import EVENT, Checkpointed, Departed, Failed, Finish, Finished, Train, Trained
from trainer.gpu import judge
from trainer.gpu.channel import Channel
from trainer.gpu.child import Child

Told = list[Any]

LIBRARIES = (
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",  # a scheduler of diffusers
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of other people's code that the tests here cannot avoid."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            for known in LIBRARIES:
                item.add_marker(pytest.mark.filterwarnings(known))


@pytest.fixture(scope="session", autouse=True)
def two_judged() -> Iterator[None]:
    """Losses of two training pictures show what those of four do, and are a third of all that the tests here compute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "MOST_TRAINING", 2)
        yield


@pytest.fixture(scope="session")
def random_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pipeline with random weights, and a random judge beside it."""
    torch.set_num_threads(1)
    return tiny_base(tmp_path_factory.mktemp("base"))


class Desk:
    """A child in this process, and what it told."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.child = Child(Channel(self._descriptor))

    def close(self) -> None:
        os.close(self._descriptor)

    def told(self) -> Told:
        """All events so far, read back through the models of the seam."""
        return [EVENT.validate_json(line) for line in self._log.read_bytes().splitlines()]

    def train(self, folder: Path, until: int) -> Told:
        """Trains and returns what was told meanwhile."""
        before = len(self.told())
        self.child.obey(Train(folder=str(folder), until=until))
        return self.told()[before:]

    def finish(self, folder: Path, step: int, max_bytes: int | None = None) -> Told:
        before = len(self.told())
        self.child.obey(Finish(folder=str(folder), step=step, max_bytes=max_bytes))
        return self.told()[before:]

    def forget(self) -> None:
        """Drops the training and its bench, as a new process would know nothing; the loaded base stays."""
        self.child._bench = self.child._training = None


@pytest.fixture
def desk(tmp_path: Path, shared_base: Any) -> Iterator[Desk]:
    """A child that finds the random base already in memory."""
    desk = Desk(tmp_path / "told.jsonl")
    desk.child._loaded = shared_base.get("loaded")
    yield desk
    shared_base["loaded"] = desk.child._loaded or shared_base.get("loaded")
    desk.close()


@pytest.fixture(scope="session")
def shared_base() -> dict[str, Any]:
    """The base as loaded by the first test that needed it."""
    return {}


@pytest.fixture
def job(tmp_path: Path, random_base: Path) -> Callable[..., Path]:
    """Makes job folders on the random base."""

    def make(name: str = "job", **wanted: Any) -> Path:
        make_job(tmp_path / name, random_base, **wanted)
        return tmp_path / name

    return make


def only(told: Told, kind: type) -> Any:
    """The one event of a kind; a failure is shown in its place."""
    failures = [event for event in told if isinstance(event, Failed)]
    assert not failures, failures
    found = [event for event in told if isinstance(event, kind)]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="session")
def one() -> Callable[[Told, type], Any]:
    return only


def plan_of(folder: Path) -> Plan:
    from trainer.gpu.job import read

    return read(folder).plan


__all__ = ["Checkpointed", "Departed", "Desk", "Failed", "Finished", "Trained"]
