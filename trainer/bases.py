"""`lorasmith bases`: the base models that can be trained, and those that look at pictures before: on what terms, what they need,
and which are on this machine.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from storage.domain.bases import BASES, KnownBase
from storage.domain.footprint import FOOTPRINTS, main_gib
from storage.domain.observers import OBSERVERS
from storage.domain.rungs import MAIN_SPARE_GIB, Device, fit_on, least_gib, whole_gib
from storage.options import Options
from storage.settings import wrong_settings
from trainer import observers
from trainer.fit import largest_recipe
from trainer.settings import WorkerSettings
from trainer.weights import faults, fetched_here, located, missing

SAYS = (
    "List the base models that can be trained: family, licence, what they need, and what is on this machine. Below them the "
    "models that look at pictures before the first step: a captioner, a tagger, a face detector."
)


def rows(settings: WorkerSettings) -> list[dict[str, Any]]:
    """One plain object a base, as `--json` prints it."""
    return [_row(known, settings.source(known.name)) for known in BASES.values()]


def observer_rows(settings: WorkerSettings) -> list[dict[str, Any]]:
    """The same of every model that looks at pictures."""
    return [observers.row(known, getattr(settings, known.name)) for known in OBSERVERS.values()]


def _row(known: KnownBase, source: str) -> dict[str, Any]:
    place = located(source)
    wrong = faults(place, known)
    return {
        "base": known.name,
        "title": known.title,
        "family": known.family,
        "licence": known.licence.name,
        "licence_url": known.licence.url,
        "non_commercial": known.licence.non_commercial,
        "gated": known.gated,
        "hub": known.hub,
        "revision": known.revision,
        "download_gb": known.download_gb,
        **_memory(known.name),
        "native_px": known.native_px,
        "here": not wrong,
        "folder": str(place) if place and not wrong else None,
        "missing": list(wrong) if place else [],
        "set_to": None if fetched_here(known, source) else source,
    }


def _memory(base: str) -> dict[str, int | None]:
    """GiB that the planner of fits wants at the largest recipe (`storage.domain.rungs`); None needs no GPU."""
    if base not in FOOTPRINTS:
        return {"gpu_least_gib": None, "main_memory_then_gib": None, "gpu_full_speed_gib": None}
    plan = largest_recipe(base)
    least = least_gib(plan)
    fit = fit_on(plan, Device(kind="cuda", memory_gib=least, threads=1))
    main = math.ceil(main_gib(plan, fit) + MAIN_SPARE_GIB)
    return {"gpu_least_gib": least, "main_memory_then_gib": main, "gpu_full_speed_gib": whole_gib(plan)}


def text(found: Sequence[dict[str, Any]]) -> str:
    """The same for people."""
    return "\n\n".join("\n".join(_lines(row)) for row in found)


def _lines(row: dict[str, Any]) -> list[str]:
    gpu = (
        f"a GPU from {row['gpu_least_gib']} GiB on (with {row['main_memory_then_gib']} GiB of main memory free), full speed "
        f"from {row['gpu_full_speed_gib']} GiB; estimated"
        if row["gpu_least_gib"]
        else "no GPU"
    )
    lines = [
        f"{row['base']}: {row['title']}, family {row['family']}, made for {row['native_px']} px",
        f"  licence  {_licence(row)}",
    ]
    if row["hub"]:
        lines.append(f"  needs    {row['download_gb']:g} GB of disk; {gpu}")
        lines.append(f"  from     {row['hub']}" + (", after its licence was accepted there" if row["gated"] else ""))
    else:
        lines.append(f"  needs    {gpu}; it comes with lorasmith, for demonstrations and tests")
    return [*lines, f"  here     {_here(row)}"]


def _licence(row: dict[str, Any]) -> str:
    name = f"{row['licence']}, {row['licence_url']}"
    return (
        f"{name}\n           NOT FOR COMMERCIAL USE, and LoRAs trained on it neither" if row["non_commercial"] else name
    )


def _here(row: dict[str, Any]) -> str:
    if row["here"]:
        return str(row["folder"])
    if row["set_to"]:
        return missing(row["base"], row["set_to"])
    fetch = f"lorasmith fetch {row['base']}"
    return f"in part only ({row['missing'][0]}): {fetch}" if row["missing"] else f"no: {fetch}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 with the list; 2 where a setting is wrong."""
    parser = Options("bases", SAYS)
    parser.add_argument(
        "--json", action="store_true", help="one list of objects: bases, then those with `observer` for a name"
    )
    given = parser.parse_args(arguments)
    try:
        settings = WorkerSettings()
        found, looking = rows(settings), observer_rows(settings)
    except ValidationError as error:
        print("\n".join(wrong_settings(error)), file=sys.stderr)  # noqa: T201  # to the operator's terminal
        return 2
    plain = "\n\n".join([text(found), *("\n".join(observers.lines(row)) for row in looking)])
    print(json.dumps(found + looking, indent=2) if given.json else plain)  # noqa: T201  # the answer of a command
    return 0


if __name__ == "__main__":
    sys.exit(main())
