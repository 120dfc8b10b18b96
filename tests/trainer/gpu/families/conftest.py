"""One tiny pipeline of every base, and one training on it, shared by the contract."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.domain.plan import Plan
from tests.builders import CPU_FIT, make_job, tiny_plan
from tests.tiny_bases import TINY
from tests.trainer.gpu.conftest import LIBRARIES, Desk
from trainer.gpu import export
from trainer.gpu.families import FAMILIES, Base

STEPS = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of other people's code that the tests here cannot avoid."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            for known in LIBRARIES:
                item.add_marker(pytest.mark.filterwarnings(known))


def plan_on(name: str) -> Plan:
    """A short plan that moves the adapter far enough to be seen."""
    marks = (STEPS - 1, STEPS)
    plan = replace(tiny_plan(2, STEPS), base=name, learning_rate=2e-2, checkpoint_steps=marks, rank=3)
    return replace(plan, targets="attention+ff")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A base and an order that was trained on it without a pause."""

    name: str
    source: Path
    folder: Path
    desk: Desk
    told: list[Any]
    learned: export.Pairs
    """What was in the adapter at the end, as a file has it; a finish lets go of the adapter itself."""

    @property
    def base(self) -> Base:
        """The drawing base."""
        assert self.desk.child._loaded is not None
        return self.desk.child._loaded.base


@pytest.fixture(scope="module", params=sorted(TINY))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """For every base in turn."""
    torch.set_num_threads(1)
    name, home = request.param, tmp_path_factory.mktemp(request.param)
    source = TINY[name](home / "base")
    make_job(home / "job", source, pictures=2, plan=plan_on(name))
    desk = Desk(home / "told.jsonl")
    told = desk.train(home / "job", STEPS)
    assert desk.child._training is not None, told[-1]
    adapter = desk.child._training.adapter
    learned = export.cast({k: v.clone() for k, v in adapter.downs.items()}, adapter.ups)
    yield Trained(name=name, source=source, folder=home / "job", desk=desk, told=told, learned=learned)
    desk.close()


@pytest.fixture
def loaded(trained: Trained) -> Base:
    """The same base, loaded again for itself: whatever a test does to it stays in the test."""
    return FAMILIES[trained.name](str(trained.source), CPU_FIT)
