"""A job folder, read with suspicion: all that the child knows of an order."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from storage.domain.captions import LONGEST
from storage.domain.contradictions import contradictions
from storage.domain.knobs import out_of_bounds
from storage.domain.orders import MAX_PICTURES
from storage.domain.plan import Departure, Fit, Plan
from trainer.events import Job, JobPicture
from trainer.gpu.families import FAMILIES

MAX_BYTES = 1 << 20
MOST_CAPTION = 2 * LONGEST
"""Characters, with the words that `spoken` adds."""
_PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)
_FIT: TypeAdapter[Fit] = TypeAdapter(Fit)
_STEM = re.compile(r"[a-z0-9][a-z0-9.-]{0,80}")


class JobRefused(Exception):
    """The job folder holds something that this child does not carry out."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One order's work, checked."""

    folder: Path
    job: Job
    plan: Plan
    fit: Fit
    departures: tuple[Departure, ...]
    created_at: datetime
    plan_sha256: str

    def path(self, *parts: str) -> Path:
        """A place inside the job folder."""
        return self.folder.joinpath(*parts)

    def relative(self, path: Path) -> str:
        """How events name a file."""
        return path.relative_to(self.folder).as_posix()


def read(folder: Path) -> Task:
    """The job of a folder. Raises `JobRefused` for anything that is not as the supervisor writes it."""
    try:
        with (folder / "job.json").open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise JobRefused("job.json is too large")
        job = Job.model_validate_json(text)
        Plan.from_json(job.plan)  # refuses unknown and missing fields, which the next line would not
        Fit.from_json(job.fit)
        plan, fit = _PLAN.validate_json(job.plan), _FIT.validate_json(job.fit)
        created_at = datetime.fromisoformat(job.date)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = "wrong values" if isinstance(error, ValidationError) else type(error).__name__
        raise JobRefused(f"job.json cannot be used: {reason}") from error
    _check_plan(plan, fit)
    _check_pictures(folder, plan, job.pictures)
    if not _STEM.fullmatch(job.stem):
        raise JobRefused("the file name is not plain")
    return Task(
        folder=folder,
        job=job,
        plan=plan,
        fit=fit,
        departures=tuple(Departure(step=d.step, kind=d.kind, reason=d.reason) for d in job.departures),
        created_at=created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC),
        plan_sha256=hashlib.sha256(plan.to_json().encode()).hexdigest(),
    )


def _check_plan(plan: Plan, fit: Fit) -> None:
    """The bounds of the knobs, far beyond any recipe: a hostile plan may not fill memory or run for ever."""
    _require(plan.base in FAMILIES, "the base model is not known here")
    for name, wrong in (*out_of_bounds(plan), *contradictions(plan)):
        raise JobRefused(f"job.json cannot be used: {name}: {wrong}")
    _require(fit.contradiction is None, fit.contradiction or "")
    _require(1 <= fit.micro_batch <= plan.batch_size and 1 <= fit.threads <= 256, "fit")


def _check_pictures(folder: Path, plan: Plan, pictures: list[JobPicture]) -> None:
    _require(0 < len(pictures) <= MAX_PICTURES, "number of pictures")
    _require(len({p.id for p in pictures}) == len(pictures), "picture ids")
    held = {p.id for p in pictures if p.held_out}
    _require(held == set(plan.held_out) and len(held) < len(pictures), "held-out pictures")
    _require({p.id for p in pictures} >= set(plan.repeats), "repeats: a picture in it is not there")
    named = sorted(id_ for concept in plan.concepts for id_ in concept.pictures)
    _require(not named or named == sorted(p.id for p in pictures), "concepts: each picture is in one of them")
    _require(_shuffles(plan, pictures), "caption_shuffle: no caption has tags to shuffle behind those that stay")
    for picture in pictures:
        _require(len(picture.caption) <= MOST_CAPTION, "caption length")
        path = PurePosixPath(picture.file)
        _require(not path.is_absolute() and ".." not in path.parts, "a picture outside the job folder")
        _require(not (folder / path).is_symlink(), "a picture that is a link")


def _shuffles(plan: Plan, pictures: list[JobPicture]) -> bool:
    """Whether shuffling changes anything, where it is asked for."""
    captions = {picture.caption for picture in pictures if picture.caption}
    captions |= set() if all(picture.caption for picture in pictures) else set(plan.captions)
    return not plan.caption_shuffle or any(text.count(",") > plan.keep_tokens for text in captions)


def _require(true: bool, what: str) -> None:  # noqa: FBT001 -- reads as a sentence
    if not true:
        raise JobRefused(f"job.json cannot be used: {what}")
