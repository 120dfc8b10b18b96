"""The worker's half of `lorasmith doctor`: base weights, and whether graphics card, driver and torch go together."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from storage.domain.bases import BASES
from storage.domain.footprint import FOOTPRINTS
from storage.domain.inspection import Remark, note, ok, to_json, wrong
from storage.domain.rungs import least_gib
from storage.settings import wrong_settings
from storage.up import UpSettings
from trainer.child import environment_for
from trainer.fit import largest_recipe
from trainer.settings import WorkerSettings
from trainer.weights import faults, located, missing

LOOK_S = 120.0
"""Importing torch takes up to half a minute from a cold disk."""
INSTALL = "https://pytorch.org/get-started/locally has the line for your card and driver; run it, then start the worker again."
EMPTY: dict[str, Any] = {}


async def inspected(settings: WorkerSettings) -> list[Remark]:
    """Everything."""
    torch_says, driver_says = await asyncio.gather(_torch(settings), asyncio.to_thread(_driver))
    return [*weights(settings), *card(settings, torch_says, driver_says)]


def weights(settings: WorkerSettings) -> list[Remark]:
    """Of every base that this worker is to serve: there and whole, by headers and lengths."""
    found = []
    for base in settings.bases:
        source = settings.weights(base)
        if faults(located(source), BASES[base]):
            found.append(wrong(f"weights of {base}", "not whole on this machine", missing(base, source)))
        else:
            found.append(ok(f"weights of {base}", f"whole, in {located(source)}"))
    return found


def served(settings: WorkerSettings, asked: UpSettings) -> WorkerSettings:
    """As `lorasmith up` sets the worker where LORASMITH_BASES does not: what orders are taken for, and the pocket."""
    if asked.bases is not None or asked.base not in BASES:
        return settings
    return settings.model_copy(update={"bases": tuple(dict.fromkeys((asked.base, "pocket")))})


def unserved(settings: WorkerSettings, base: str) -> list[Remark]:
    """What the bot takes orders for has to be trained by somebody."""
    if base in settings.bases:
        return []
    says = f"orders are taken for {base}, and this worker serves {', '.join(settings.bases)}"
    return [note("bases", says, f"Unless another worker serves it: add {base} to LORASMITH_BASES.")]


def card(settings: WorkerSettings, torch_says: dict[str, Any], driver: dict[str, str]) -> list[Remark]:
    """What torch said of itself against what the driver says. Pure but for the bases' needs."""
    if "error" in torch_says:
        return [wrong("torch", str(torch_says["error"])[:300], f"Install it anew: {INSTALL}")]
    about, needs = "graphics card", [base for base in settings.bases if base in FOOTPRINTS]
    torch_is = f"torch {torch_says['torch']}"
    if torch_says["works"]:
        name, gib = torch_says["name"], torch_says["memory_gib"]
        by = f", driver {driver['driver']}" if driver else ""
        return [ok(about, f"{name}, {gib:.0f} GiB{by}, {torch_is}: it computes"), *_room(needs, float(gib))]
    if torch_says.get("mps"):
        return [ok(about, f"Apple's, {torch_is}")]
    if not driver:
        if not needs:
            return [note(about, f"none; {torch_is}. The pocket trains on the processor")]
        mend = "Install the card's driver (`nvidia-smi` has to show it), or let a machine with a card be the worker."
        return [wrong(about, f"none is seen, and {', '.join(needs)} would take days without", mend)]
    return [_mismatch(about, torch_is, torch_says, driver)]


def _mismatch(about: str, torch_is: str, torch_says: dict[str, Any], driver: dict[str, str]) -> Remark:
    there = f"{driver['name']}, driver {driver['driver']}"
    if not torch_says["cuda"]:
        return wrong(
            about, f"{there}, but {torch_is} is a build for processors alone", f"Install one for CUDA: {INSTALL}"
        )
    why = str(torch_says.get("why") or "it sees no card")[:200]
    says = f"{there}, but {torch_is} (CUDA {torch_says['cuda']}) cannot compute on it: {why}"
    return wrong(about, says, f"Bring the driver up to date, or install a torch for it: {INSTALL}")


def _room(needs: Sequence[str], gib: float) -> list[Remark]:
    found = []
    for base in needs:
        least = least_gib(largest_recipe(base))
        if least > gib:
            mend = f"Take {base} out of LORASMITH_BASES, or give the worker a card with {least} GiB."
            found.append(
                wrong(f"memory for {base}", f"it needs a card from {least} GiB on, this one has {gib:.0f}", mend)
            )
    return found


async def _torch(settings: WorkerSettings) -> dict[str, Any]:
    """What torch says, from a process of its own: a broken driver can take a process down."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trainer.gpu.inspection",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment_for(settings.launch(), os.environ),
    )  # fmt: skip
    try:
        async with asyncio.timeout(LOOK_S):
            out, err = await process.communicate()
        found = json.loads(out.decode().splitlines()[-1])
        return found if isinstance(found, dict) else EMPTY
    except TimeoutError:
        process.kill()
        await process.wait()
        return {"error": f"it did not answer within {LOOK_S:.0f} s"}
    except (ValueError, IndexError):
        last = (err.decode(errors="replace").strip().splitlines() or [f"ended with exit code {process.returncode}"])[-1]
        return {"error": f"it cannot be used: {last}"}


def _driver() -> dict[str, str]:
    """The first card as its driver says; empty where there is none to ask."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        line = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return {}
    name, _, driver = line.rpartition(",")
    return {"name": name.strip(), "driver": driver.strip()}


def main() -> int:
    """Hand over the remarks as one line of JSON."""
    try:
        asked = UpSettings()
        settings = served(WorkerSettings(), asked)
        remarks = [*asyncio.run(inspected(settings)), *unserved(settings, asked.base)]
    except ValidationError as error:
        mend = "Correct it in .env; `lorasmith worker --help` says what each one means."
        remarks = [wrong("settings", line, mend) for line in wrong_settings(error)]
    sys.stdout.write(to_json(remarks) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
