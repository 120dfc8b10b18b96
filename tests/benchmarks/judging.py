"""Does lorasmith know which checkpoint is best, at which scale, and when to stop? Judged where the truth is known.

    python -m tests.benchmarks.judging --subjects 40 --out runs/judging

Each subject is trained once, up to four times its plan's length, with more checkpoints than a plan has; the product's judge
measures every checkpoint, and independent readers, trained on the generator alone, score new pictures of each. Every rule is then
evaluated on the kept numbers in seconds. Resumable; several terminals share the work: whoever comes last prints the whole.
`judging_check` and `judging_sheet` say how far the readers can be trusted. `--only-report` trains nothing.
EXPERIMENTS.md, "Which checkpoint is best". Last lines: `choice_regret_ratio`, `scale_regret_ratio`, `early_stop_saving`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from tests.benchmarks.judging_cases import Case, cases
from tests.benchmarks.judging_exam import Desk
from tests.benchmarks.judging_records import Record, from_json, recorded
from tests.benchmarks.judging_report import report
from tests.benchmarks.trainings import together


def _recorded(case: Case, out: Path, threads: int, desk: Desk, wait: bool) -> Record:  # noqa: FBT001 -- `together` calls it so
    record = recorded(case, out, threads, desk, wait=wait)
    if not wait:
        scores = " ".join(f"{step}:{record.score(step):.2f}" for step in record.exam)
        print(f"{case.name}: {max(record.spent.values(), key=lambda s: s.whole).whole:.0f} s; {scores}", flush=True)
    return record


def _known(these: Sequence[Case], out: Path) -> list[Record]:
    files = [out / case.name / "record.json" for case in these]
    return [from_json(file.read_text()) for file in files if file.is_file()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, judges and examines what is missing, then prints every table and the three figures."""
    parser = argparse.ArgumentParser(description="Judge the judge: which checkpoint, which scale, when to stop.")
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("runs/judging"))
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS") or 1))
    parser.add_argument("--only-report", action="store_true", help="from the records that are there")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    these = cases(given.subjects)
    if given.only_report:
        records = _known(these, given.out)
    else:
        desk = Desk(given.threads)
        records = together([partial(_recorded, case, given.out, given.threads, desk) for case in these])
    print("\n".join(report(records)))


if __name__ == "__main__":
    main()
