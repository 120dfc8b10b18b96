"""The `lorasmith` command: verbs, near misses, missing extras, and the operator's switches, in fresh interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage import command
from storage.database import Database, migrate
from storage.settings import StorageSettings
from storage.switches import is_paused

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "discord", "dbos", "sqlmodel", "sqlalchemy", "pydantic", "PIL", "numpy", "bot", "trainer", "obstore")
WITHOUT = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {absent!r} else real(name, *rest)
from storage.command import main
sys.exit(main(sys.argv[1:]))
"""


def ran(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LORASMITH_", "DISCORD_"))}
    return subprocess.run(
        [sys.executable, "-m", "storage.command", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
        env=clean | {"PYTHONPATH": str(ROOT)} | environment,
    )


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    program = f"""
import sys
from storage.command import main
assert main(["--help"]) == 0
assert main(["no-such-verb"]) == 2
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"
    for verb in (
        "up",
        "bot",
        "worker",
        "demo",
        "train",
        "plan",
        "check",
        "convert",
        "evaluate",
        "bases",
        "fetch",
        "migrate",
        "pause",
        "resume",
    ):
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize(
    ("typed", "meant"), [("trian", "train"), ("works", "worker"), ("chek", "check"), ("Bot", "bot")]
)
def test_an_unknown_verb_is_answered_with_the_nearest(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([typed]) == 2
    assert f"`lorasmith {meant}`" in capsys.readouterr().err


def test_a_verb_that_is_like_none_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["xyzzy"]) == 2
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "absent", "extra"),
    [
        ("bot", "discord", "bot"),
        ("worker", "torch", "trainer"),
        ("up", "torch", "trainer"),
        ("demo", "jsonschema", "demo"),
    ],
)
def test_a_missing_part_is_a_sentence_with_the_command_that_installs_it(verb: str, absent: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(absent={absent}), verb],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert f'pip install -c constraints.txt ".[{extra}]"' in done.stderr
    assert absent in done.stderr
    assert "Traceback" not in done.stderr


def test_every_module_of_the_table_can_be_started_by_name() -> None:
    missing = [v.module for v in command.VERBS.values() if v.module and not command.is_there(v.module)]
    assert missing == []


def test_migrate_pause_and_resume_do_what_they_say(tmp_path: Path) -> None:
    folder = {"LORASMITH_DATA_DIR": str(tmp_path)}
    early = ran("pause", **folder)
    assert (early.returncode, "lorasmith migrate" in early.stderr) == (2, True)
    assert ran("migrate", **folder).stdout == "The database is ready.\n"
    database = Database(StorageSettings(data_dir=tmp_path))
    for verb, paused in (("pause", True), ("resume", False)):
        done = ran(verb, **folder)
        assert done.returncode == 0, done.stderr
        with database.session() as session:
            assert is_paused(session) is paused
    database.close()


def test_a_wrong_setting_is_named_without_its_value(tmp_path: Path) -> None:
    done = ran("migrate", LORASMITH_DATABASE_URL="mysql://user:hidden@host/db", LORASMITH_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "LORASMITH_DATABASE_URL" in done.stderr
    assert "hidden" not in done.stderr


def test_up_without_a_token_says_where_it_goes(tmp_path: Path) -> None:
    done = ran("up", cwd=tmp_path)
    assert done.returncode == 2
    assert "LORASMITH_TOKEN" in done.stderr


def test_check_answers_with_its_own_exit_code(tmp_path: Path) -> None:
    broken = tmp_path / "x.safetensors"
    broken.write_bytes(b"no")
    done = ran("check", str(broken))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_settings_are_read_from_a_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LORASMITH_DATA_DIR=from-dotenv\nLORASMITH_SOMETHING_OF_THE_BOT=1\n")
    assert ran("migrate", cwd=tmp_path).returncode == 0
    assert (tmp_path / "from-dotenv" / "lorasmith.db").exists()
    migrate(StorageSettings(data_dir=tmp_path / "from-dotenv"))
