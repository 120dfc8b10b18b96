# ruff: noqa: E501, T201  # the table has one line a verb; it talks to the operator's terminal
"""The `lorasmith` command: a table from verb to what runs. It imports neither side and nothing heavy: modules start by name."""

from __future__ import annotations

import difflib
import importlib.util
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

WRONG_SETUP = 2
"""Exit code where the operator has to change something; starting again would not help."""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One line of the table."""

    says: str
    """What it does, in a line."""
    module: str | None = None
    """Started as `python -m` would."""
    call: Callable[[Sequence[str]], int] | None = None
    """Or called in this process, with the arguments."""
    needs: tuple[str, ...] = ()
    """The extras without which it cannot run."""


PROOF = {"bot": "discord", "hub": "huggingface_hub", "trainer": "torch", "demo": "jsonschema"}
"""The package whose absence shows that an extra is not installed."""


def _check(arguments: Sequence[str]) -> int:
    from storage.lora_file.check import run  # noqa: PLC0415  # only this verb needs it

    return run(arguments)


def _convert(arguments: Sequence[str]) -> int:
    from storage.lora_file.convert import run  # noqa: PLC0415  # only this verb needs it

    return run(arguments)


def _push(arguments: Sequence[str]) -> int:
    from storage.push import run  # noqa: PLC0415  # only this verb needs it

    return run(arguments)


def _outcomes(arguments: Sequence[str]) -> int:
    from storage.outcomes_verb import run  # noqa: PLC0415  # only this verb needs it

    return run(arguments)


def _doctor(arguments: Sequence[str]) -> int:
    from storage.inspection import run  # noqa: PLC0415  # only this verb needs it

    return run(arguments)


def _console(verb: str) -> Callable[[Sequence[str]], int]:
    def call(arguments: Sequence[str]) -> int:
        from storage.console import run  # noqa: PLC0415  # only these verbs need the database

        return run(verb, arguments)

    return call


VERBS: dict[str, Verb] = {
    "up": Verb(says="run the bot and one worker on this machine", module="storage.up", needs=("bot", "trainer")),
    "bot": Verb(says="run the Discord bot alone", module="bot", needs=("bot",)),
    "worker": Verb(says="run a worker alone: one for every GPU, on as many machines as you like", module="trainer.worker", needs=("trainer",)),
    "doctor": Verb(says="look for what usually goes wrong with an installation, and say how to mend it", call=_doctor),
    "demo": Verb(says="show a whole order on this machine: no token, no GPU, no download", module="bot.loopback.demo", needs=("bot", "trainer", "demo")),
    "train": Verb(says="train a LoRA from a folder of pictures, without Discord", module="trainer.alone", needs=("trainer",)),
    "plan": Verb(says="print the plan that the recipe makes of a folder of pictures, to change and train by", module="trainer.plans", needs=("trainer",)),
    "evaluate": Verb(says="compare LoRAs and their base model on the same prompts: scores, likeness, a grid, a page", module="trainer.evaluation", needs=("trainer",)),
    "check": Verb(says="say whether a LoRA file loads, where, and what its header holds", call=_check),
    "convert": Verb(says="mend a LoRA file that tools misread: alpha, names, layout, dtype", call=_convert),
    "push": Verb(says="share a LoRA on a model hub, with a card that its order writes; private by default", call=_push, needs=("hub",)),
    "bases": Verb(says="list the base models: licence, disk and memory needed, what is on this machine", module="trainer.bases"),
    "fetch": Verb(says="download a base model (`lorasmith fetch sdxl`, about 7 GB), or one that looks at pictures: captioner, tagger, faces", module="trainer.fetch", needs=("trainer",)),
    "migrate": Verb(says="bring the database to this version (the bot does it too when it starts)", call=_console("migrate")),
    "backup": Verb(says="write database and artifacts to one file, while bot and workers go on", call=_console("backup")),
    "restore": Verb(says="make an installation of a backup, where there is none yet", call=_console("restore")),
    "outcomes": Verb(says="show what votes taught, from how much, and how it changed; freeze, thaw or reset it", call=_outcomes),
    "pause": Verb(says="give no more turns on the GPU; what runs goes on to its next checkpoint", call=_console("pause")),
    "resume": Verb(says="give turns on the GPU again", call=_console("resume")),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives back the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if given[0] in ("-V", "--version"):
        print(f"lorasmith {_version()}")
        return 0
    name, *rest = given
    verb = VERBS.get(name)
    if verb is None:
        return _refuse(_unknown(name))
    asks_for_help = any(word in ("-h", "--help") for word in rest)
    if absent := _absent(verb):
        if asks_for_help:
            print(f"lorasmith {name}: {verb.says}.\n")
        return _refuse(_install(name, absent))
    try:
        return verb.call(rest) if verb.call else _start(name, verb, rest)
    except SystemExit as end:
        return _exit_code(end)


def _start(name: str, verb: Verb, rest: Sequence[str]) -> int:
    """Run the verb's module in this process, as `python -m` would."""
    module = str(verb.module)
    if not is_there(module):
        return _refuse(f"lorasmith {name}: this installation lacks the module {module}; install lorasmith again.")
    sys.argv = [f"lorasmith {name}", *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    return _refuse(str(end.code))


def _absent(verb: Verb) -> list[str]:
    return [extra for extra in verb.needs if not is_there(PROOF[extra])]


def is_there(module: str) -> bool:
    """Whether a module is installed; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _install(name: str, extras: Sequence[str]) -> str:
    what = ",".join(extras)
    return (
        f"lorasmith {name} needs parts that are not installed: {', '.join(PROOF[e] for e in extras)}.\n"
        f'In the folder of lorasmith:  pip install -c constraints.txt ".[{what}]"'
    )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, VERBS, n=1, cutoff=0.5)
    hint = f"Did you mean `lorasmith {near[0]}`?" if near else "`lorasmith --help` shows what there is."
    return f"lorasmith does not know `{name}`. {hint}"


def _help() -> str:
    lines = [f"  {name:<8} {verb.says}" for name, verb in VERBS.items()]
    return "\n".join(
        (
            "lorasmith turns a handful of pictures into a LoRA that a Discord community votes on.",
            "",
            "usage: lorasmith VERB ...     (`lorasmith VERB --help` says more about one)",
            "",
            *lines,
            "",
            "Settings are read from variables LORASMITH_... and from a file .env in the present folder.",
        )
    )


def _version() -> str:
    try:
        return version("lorasmith")
    except PackageNotFoundError:
        return "(not installed)"


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return WRONG_SETUP


if __name__ == "__main__":
    sys.exit(main())
