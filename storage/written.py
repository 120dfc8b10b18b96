"""A delivered order as a folder: the files, every grid, single previews of the chosen checkpoint, `result.json` and the page."""

from __future__ import annotations

import json
from pathlib import Path

from storage.artifacts import Artifacts
from storage.page import order_page
from storage.result import result_of
from storage.view import OrderView


async def write_out(view: OrderView, artifacts: Artifacts, out: Path) -> dict[str, str]:
    """Writes all of it, again at no harm; gives back the files' names by role."""
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for role, key in view.files.items():
        files[role] = (await artifacts.fetch(key, out / Path(key).name)).name
    for checkpoint in view.checkpoints:
        await artifacts.fetch(checkpoint.grid, out / "grids" / f"step-{checkpoint.step}.png")
    for preview in view.chosen.previews if view.chosen else ():
        await artifacts.fetch(preview.key, out / "samples" / f"{preview.row}-{preview.seed}.png")
    paths = {role: str((out / name).resolve()) for role, name in files.items()}
    (out / "result.json").write_text(json.dumps(result_of(view, paths), indent=2) + "\n")
    (out / "page.html").write_text(order_page(view), encoding="utf-8")
    (out / "plan.yaml").write_text(view.plan_file, encoding="utf-8")
    return files
