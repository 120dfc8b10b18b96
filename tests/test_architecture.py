"""The fences of ARCHITECTURE.md: who imports whom, and that nothing heavy is imported where it does not belong."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bot", "storage", "trainer")
HEAVY = ("torch", "diffusers", "transformers", "peft", "accelerate")
SUPERVISOR = [f"trainer.{path.stem}" for path in sorted((ROOT / "trainer").glob("*.py")) if path.stem != "__init__"]
"""Everything of the trainer that is not the child: it runs beside the GPU child and starts it by name."""
DISCORDS_OWN = "ignore::DeprecationWarning:discord.player"
"""discord.py imports audioop, which warns on Python 3.11 and 3.12 that it will be gone."""
LOOK = """
import importlib, json, sys
names, heavy = json.loads(sys.argv[1])
for name in names:
    importlib.import_module(name)
print(json.dumps([h for h in heavy if h in sys.modules]))
"""


def modules(package: str) -> list[str]:
    """Every module of a package, by its files; entry points too, because importing has no effect."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "migrations" in parts or "contract" in parts:
            continue  # data and scripts that Alembic loads by path
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def heavy_after_importing(names: list[str] | tuple[str, ...], heavy: tuple[str, ...] = HEAVY) -> list[str]:
    """What of the heavy a fresh interpreter holds after it imported these."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", DISCORDS_OWN, "-c", LOOK, json.dumps([list(names), list(heavy)])],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_ours_and_not_others_of_the_same_name(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).parent == ROOT / package


def test_the_bot_and_storage_run_without_torch() -> None:
    names = [*modules("bot"), *modules("storage")]
    assert len(names) > 40
    assert heavy_after_importing(names) == []


def test_the_supervisor_runs_without_torch() -> None:
    assert {"trainer.worker", "trainer.job", "trainer.child"} <= set(SUPERVISOR)
    assert heavy_after_importing(SUPERVISOR) == []


def test_the_trainer_and_storage_run_without_discord() -> None:
    assert heavy_after_importing([*modules("storage"), *SUPERVISOR], ("discord", "aiohttp", "bot")) == []


def test_the_loopback_imports_neither_discord_nor_the_bot_beside_it() -> None:
    names = [n for n in modules("bot.loopback".replace(".", "/")) if n.startswith("bot.loopback")]
    assert names
    beside = tuple(n for n in modules("bot") if n != "bot" and not n.startswith("bot.loopback"))
    assert heavy_after_importing(names, ("discord", *beside)) == []


def test_this_check_can_fail() -> None:
    assert heavy_after_importing(["storage.tables"], ("sqlmodel", "torch")) == ["sqlmodel"]
    with pytest.raises(AssertionError, match="No module named"):
        heavy_after_importing(["storage.no_such_module"])


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [tool, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env=dict(os.environ) | {"PYTHONPATH": str(folder)},
    )  # fmt: skip


def test_the_import_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


BREAKS = {
    "bot never imports trainer": ("bot/web.py", "import trainer.events", "bot and trainer never import each other"),
    "the domain is pure": ("storage/domain/plan.py", "import sqlmodel", "storage.domain is pure"),
    "dbos has one door": ("storage/database.py", "import dbos", "dbos lives in storage.engine"),
    "even inside a function": ("trainer/job.py", "def late() -> None:\n    import torch", "torch and friends"),
    "storage is below both": ("storage/orders.py", "import bot.web", "storage imports neither side"),
}


def test_each_contract_can_break(tmp_path: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__", "weights", "contract", "keymaps", "*.json", "*.gz")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, line, _ in BREAKS.values():
        (tmp_path / file).write_text((tmp_path / file).read_text() + f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = done.stdout.partition("Broken contracts")[2]
    assert [why for why, (_, _, name) in BREAKS.items() if name not in broken] == []


HOMES = {
    "dbos": ("storage/engine.py",),
    "discord": ("bot/",),
    "torch": ("trainer/gpu/", "trainer/pocket/"),
    "diffusers": ("trainer/gpu/", "trainer/pocket/"),
    "transformers": ("trainer/gpu/", "trainer/pocket/"),
    "peft": ("trainer/gpu/", "trainer/pocket/"),
    "obstore": ("storage/artifacts.py",),
    "alembic": ("storage/database.py", "storage/migrations/"),
    "pillow_heif": ("storage/decoding.py",),
}
"""Where alone a dependency may be imported: file by file, so that a new file is held to it without being named anywhere."""


def strays(files: dict[str, str]) -> list[str]:
    """`file imports dependency` for every import outside its home; `files` is path -> source."""
    return [
        f"{path} imports {name}"
        for path, source in files.items()
        for name in sorted(_imported(source))
        if name in HOMES and not path.startswith(HOMES[name])
    ]


def _imported(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    from_ = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | from_}


def test_each_dependency_is_imported_in_its_home_only() -> None:
    files = {str(p.relative_to(ROOT)): p.read_text() for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    assert strays(files) == []
    assert strays({"storage/leases.py": "def f():\n    from dbos import DBOS"}) == ["storage/leases.py imports dbos"]
