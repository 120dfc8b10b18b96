"""Help that says enough to begin with, and wrong options that are answered with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bot.settings import BotSettings
from storage.options import Options, settings_help
from storage.settings import StorageSettings
from trainer.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
VERBS = {
    "demo": ("--images DIR", "--serve", "No token, no GPU", "[1800]"),
    "up": ("LORASMITH_TOKEN", "LORASMITH_BASE The base", "Ctrl-C", "lorasmith worker --help"),
    "bot": ("LORASMITH_TOKEN", "Needed.", "LORASMITH_BALLOT_HOURS", "[12.0]", "LORASMITH_DATABASE_URL"),
    "worker": ("LORASMITH_BASES", "LORASMITH_GPU", "LORASMITH_DATABASE_URL", "every GPU"),
    "train": ("--subject", "--out DIR", "--class-word", "without Discord"),
    "check": ("--json", "safetensors"),
    "fetch": ("sdxl", "z-image", "--from DIR", "mends what is damaged"),
    "pause": ("no more turns on the GPU", "still taken"),
    "resume": ("turns on the GPU again",),
    "migrate": ("database",),
}
EVERY_VERB = """
import contextlib, io, json, sys
from storage.command import main

def told(verb, option):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([verb, option])
    return code, out.getvalue(), err.getvalue()

answers = {verb: {option: told(verb, option) for option in ("--help", "--colour=red")} for verb in sys.argv[1:]}
print(json.dumps(answers))
"""
WITHOUT_EXTRAS = """
import importlib.util, sys
importlib.util.find_spec = lambda name, *rest: None
from storage.command import main
sys.exit(main(sys.argv[1:]))
"""


def ran(*arguments: str, program: tuple[str, ...] = ("-m", "storage.command")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )


def test_every_verb_helps_and_names_itself_and_answers_a_wrong_option() -> None:
    # each verb has an interpreter of its own in life; here runpy meets modules that another verb imported
    done = ran(*VERBS, program=("-W", "ignore::RuntimeWarning", "-c", EVERY_VERB))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    for verb, words in VERBS.items():
        code, out, err = answers[verb]["--help"]
        assert (code, err) == (0, ""), verb
        assert out.startswith(f"usage: lorasmith {verb} ")
        told = " ".join(out.split())
        assert [w for w in words if w not in told] == [], verb
        code, out, err = answers[verb]["--colour=red"]
        assert (code, out) == (2, ""), verb
        assert err.startswith(f"lorasmith {verb}: ")
        assert err.splitlines()[-1] == f"`lorasmith {verb} --help` shows what it takes."


def test_a_wrong_option_is_answered_with_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    options = Options("demo", "Show it.")
    options.add_argument("--serve", action="store_true")
    for given in (["--server"], ["--serv", "3"], ["--serving=1"]):
        with pytest.raises(SystemExit) as end:
            options.parse_args(given)
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert f"it does not take {' '.join(given)}; --serve is near to it" in said
    with pytest.raises(SystemExit):
        options.parse_args(["--xyzzy"])
    assert "near" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", [StorageSettings, BotSettings, WorkerSettings])
def test_every_setting_is_in_the_help_and_says_what_it_means(kind: type[StorageSettings]) -> None:
    said = settings_help(kind).splitlines()
    for name, field in kind.model_fields.items():
        line = said.index(f"  LORASMITH_{name.upper()}")
        assert said[line + 1].startswith("      "), f"{name} says nothing"
        assert field.description, f"{name} says nothing"
    assert max(len(line) for line in said) <= 100


def test_a_verb_whose_parts_are_not_installed_still_says_what_it_does() -> None:
    done = ran("bot", "--help", program=("-c", WITHOUT_EXTRAS))
    assert "run the Discord bot alone" in done.stdout
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_token_is_called_by_its_own_name() -> None:
    program = (
        "import os, sys; os.chdir(sys.argv.pop(1)); os.environ.pop('LORASMITH_TOKEN', None)\n"
        "from bot.__main__ import main; sys.exit(main())"
    )
    done = ran("/", program=("-c", program))
    assert (done.returncode, done.stderr) == (2, "LORASMITH_TOKEN: Field required\n")
