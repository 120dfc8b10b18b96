"""Where the models that look at pictures lie on this machine: what `lorasmith fetch captioner|tagger|faces|eyes` brought."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from storage.domain.errors import LorasmithError
from storage.domain.observers import Observer
from storage.lora_file import read_header
from trainer.weights import located


def fetched(observer: Observer) -> str:
    """The folder of a whole one, its file where it has a single one; empty where there is none."""
    place = located(observer.source)
    if place is None or missing_of(observer, place):
        return ""
    return str(place / observer.needed[0] if len(observer.needed) == 1 else place)


def missing_of(observer: Observer, place: Path) -> tuple[str, ...]:
    """What is not there, or was cut off: every file of weights has to be as long as its header says."""
    return tuple(name for name in observer.needed if not _whole(place / name))


def _whole(file: Path) -> bool:
    if not file.is_file():
        return False
    if file.suffix != ".safetensors":
        return file.stat().st_size > 0
    try:
        read_header(file)
    except (LorasmithError, OSError, ValueError):
        return False
    return True


def installed(observer: Observer) -> bool:
    """Whether this machine's Python can run it."""
    return not observer.extra or importlib.util.find_spec("onnxruntime") is not None


def require(observer: Observer, found: str) -> None:
    """Raise `LorasmithError` with what to do where an observer cannot be used; `found` is where the worker has it."""
    if not found or not Path(found).exists():
        raise LorasmithError(
            f"This needs {observer.title}, which {observer.does}, and it is not on this machine. "
            f"Fetch it with: lorasmith fetch {observer.name}"
        )
    if not installed(observer):
        raise LorasmithError(f"{observer.title} needs onnxruntime. Install lorasmith[{observer.extra}]")


def row(observer: Observer, given: str) -> dict[str, Any]:
    """One plain object, as `lorasmith bases --json` prints it; `given` is the worker's setting."""
    place = located(observer.source)
    missing = missing_of(observer, place) if place else ()
    found = "" if given == "none" else given or fetched(observer)
    return {
        "observer": observer.name,
        "title": observer.title,
        "does": observer.does,
        "licence": observer.licence.name,
        "licence_url": observer.licence.url,
        "hub": observer.hub,
        "revision": observer.revision,
        "download_gb": observer.download_gb,
        "extra": observer.extra or None,
        "installed": installed(observer),
        "set": given or None,
        "here": bool(found) and Path(found).exists(),
        "folder": found or None,
        "missing": list(missing),
    }


def lines(said: dict[str, Any]) -> list[str]:
    """The same for people."""
    size = said["download_gb"]
    disk = f"{size:g} GB" if size >= 0.1 else f"{size * 1000:g} MB"
    found = [f"{said['observer']}: {said['title']}, {said['does']}"]
    found.append(f"  licence  {said['licence']}, {said['licence_url']}")
    found.append(f"  needs    {disk} of disk" + (f"; lorasmith[{said['extra']}]" if said["extra"] else ""))
    return [*found, f"  here     {_here(said)}"]


def _here(said: dict[str, Any]) -> str:
    name, folder = said["observer"], said["folder"]
    if said["set"] == "none":
        return f"not used: LORASMITH_{name.upper()} says none"
    if not said["here"]:
        part = (
            f"in part only ({said['missing'][0]} is missing or not whole)" if said["missing"] and not folder else "no"
        )
        return (
            f"nothing at {folder}, which LORASMITH_{name.upper()} names"
            if folder
            else f"{part}: lorasmith fetch {name}"
        )
    lacks = "" if said["installed"] else f"; not usable until lorasmith[{said['extra']}] is installed"
    return f"{folder}{lacks}"
