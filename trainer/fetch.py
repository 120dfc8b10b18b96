"""`lorasmith fetch NAME`: bring a base model, or one that looks at pictures, onto this machine, once for all programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from storage.domain.bases import BASES, KnownBase
from storage.domain.errors import LorasmithError
from storage.domain.observers import EYES, OBSERVERS, Observer
from storage.options import Options
from trainer.download import Cache, Tell
from trainer.hub import FetchRefused, Known, listing, remaining, wanted
from trainer.observers import fetched, installed, missing_of
from trainer.weights import copied, faults, hub_cache

STOPPED = 130
SPARE_BYTES = 1 << 30
"""What a disk keeps free besides."""
SAYS = (
    "Fetch a base model to train on, or one that looks at pictures: before training (captioner, tagger, faces) or at every "
    "checkpoint (judge, likeness, identity; eyes fetches these and faces). From the hub into the cache that all programs share; a "
    "base from a folder too. Done again, it checks every file's hash and mends what is damaged; stopped, it goes on where it was."
)


def fetch(known: Known, *, endpoint: str | None = None) -> Path:
    """The folder of a model, whole and checked. Raises `FetchRefused`."""
    listed = listing(known, endpoint)
    cache = Cache(hub_cache(), known, listed, endpoint)
    with _alone(known):
        _require_room(hub_cache(), remaining(listed.files, cache.here()), known)
        with _progress(known.title, listed.size) as tell:
            for file in sorted(listed.files, key=lambda file: file.size):
                cache.bring(file, tell)
    if isinstance(known, Observer):
        what = tuple(f"{name} is damaged or not whole" for name in missing_of(known, cache.folder))
    else:
        what = faults(cache.folder, known)
    if what:
        raise FetchRefused(f"{known.hub} was fetched, and it cannot be used: {what[0]}")
    return cache.folder


def copy(known: KnownBase, folder: Path) -> Path:
    """The same from a folder, a copy of a diffusers pipeline. Raises `FetchRefused`."""
    if folder.is_file():
        setting = f"LORASMITH_BASE_{known.name.upper().replace('-', '_')}={folder.resolve()}"
        raise FetchRefused(f"{folder} is a single file. It is used where it is, without a copy: set {setting}")
    if what := faults(folder, known):
        raise FetchRefused(f"{folder} cannot be used: {what[0]}")
    files = wanted((p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()), known)
    place, size = copied(known.name), sum((folder / file).stat().st_size for file in files)
    part = place.with_name(f"{place.name}.part")
    with _alone(known):
        shutil.rmtree(part, ignore_errors=True)
        _require_room(hub_cache(), size, known)
        with _progress(known.title, size) as tell:
            for file in files:
                _copied(folder / file, part / file, tell)
        if what := faults(part, known):
            raise FetchRefused(f"the copy did not come out whole: {what[0]}")
        shutil.rmtree(place, ignore_errors=True)
        part.replace(place)
    return place


def _copied(source: Path, place: Path, tell: Tell) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as given, place.open("wb") as taken:
        while block := given.read(8 << 20):
            taken.write(block)
            tell(len(block))


def _require_room(root: Path, size: int, known: Known) -> None:
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if size and free < size + SPARE_BYTES:
        raise FetchRefused(
            f"{known.title} needs {size / 10**9:.1f} GB more in {root}, and {free / 10**9:.1f} GB are free. "
            "Make room, or set HF_HOME to a folder on a larger disk."
        )


@contextmanager
def _alone(known: Known) -> Iterator[None]:
    root = hub_cache() / ".locks"
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / f"lorasmith-{known.name}.lock", timeout=0):
            yield
    except Timeout as error:
        raise FetchRefused(f"{known.title} is being fetched by another command on this machine") from error


@contextmanager
def _progress(title: str, size: int) -> Iterator[Tell]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(title, total=size)
        yield lambda count: progress.advance(task, count)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 with the folder, 1 with what to do, 130 where it was stopped."""
    parser = Options("fetch", SAYS)
    names = [name for name, known in BASES.items() if known.hub is not None]
    parser.add_argument("name", choices=[*names, *OBSERVERS, "eyes"], help="`lorasmith bases` tells more about each")
    parser.add_argument(
        "--from", dest="folder", type=Path, metavar="DIR", help="a folder with the base model, instead of the hub"
    )
    given = parser.parse_args(arguments)
    if given.name not in BASES and given.folder:
        named = "JUDGE, LORASMITH_LIKENESS, ..." if given.name == "eyes" else given.name.upper()
        parser.error(f"no copy is needed: set LORASMITH_{named} to where it is")
    for known in _named(given.name):
        if code := _brought(known, given.folder):
            return code
    return 0


def _named(name: str) -> list[Known]:
    if name in BASES:
        return [BASES[name]]
    return [OBSERVERS[eye] for eye in (EYES if name == "eyes" else [name])]


def _brought(known: Known, source: Path | None) -> int:
    """Exit code of one model."""
    _say(_announced(known, source))
    try:
        folder = copy(known, source) if source and isinstance(known, KnownBase) else fetch(known)
    except LorasmithError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.strerror or type(error).__name__}. What was fetched so far is kept.")
    except KeyboardInterrupt:
        _say("Stopped. The same command goes on where it was.")
        return STOPPED
    print((isinstance(known, Observer) and fetched(known)) or folder)  # noqa: T201  # the answer of a command
    _say(_used(known))
    return 0


def _used(known: Known) -> str:
    if isinstance(known, KnownBase):
        return (
            f"To train on it: LORASMITH_BASES=pocket,{known.name} for workers, LORASMITH_BASE={known.name} for the bot."
        )
    lacks = f"\nIt cannot be used yet: install lorasmith[{known.extra}] (onnxruntime)." if not installed(known) else ""
    return f"Workers of this machine find it by themselves; LORASMITH_{known.name.upper()}=none uses none.{lacks}"


def _announced(known: Known, folder: Path | None) -> str:
    size = f"{known.download_gb:g} GB" if known.download_gb >= 0.1 else f"{known.download_gb * 1000:g} MB"
    where = folder or f"{known.hub}, about {size}"
    terms = f"{known.terms}. {known.licence.url}"
    return f"{'Copying' if folder else 'Fetching'} {where}.\n{terms}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  # to the operator's terminal


def _refuse(why: str) -> int:
    _say(f"lorasmith fetch: {why}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
