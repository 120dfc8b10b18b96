"""The independent classifier learns from drawings alone and survives being written in half precision."""

from pathlib import Path

import numpy as np
import pytest

from trainer.pocket.oracle import SubjectOracle, load_oracle, save_oracle, train_subject_oracle
from trainer.pocket.subjects import test_subject as subject_of


@pytest.fixture(scope="module")
def three_toys() -> SubjectOracle:
    return train_subject_oracle([subject_of("object", n) for n in (0, 1, 2)], pictures_each=16, steps=24)


def test_three_toys_are_told_apart_in_fresh_poses(three_toys: SubjectOracle) -> None:
    for subject in three_toys.subjects:
        named = three_toys.name([subject.render("night", seed, px=96) for seed in range(6)])
        assert sum(found.index == subject.index for found in named) >= 5


def test_a_written_oracle_answers_as_before(three_toys: SubjectOracle, tmp_path: Path) -> None:
    pictures = np.stack([np.asarray(subject_of("object", n % 3).render("sky", n)) for n in range(12)])
    save_oracle(three_toys.oracle, tmp_path)
    assert np.array_equal(load_oracle(tmp_path).answers(pictures), three_toys.oracle.answers(pictures))
