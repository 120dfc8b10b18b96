"""What can be said to `lorasmith train`: its options, and how they and a plan file become a wish."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.domain.bases import BASES
from storage.domain.errors import LorasmithError
from storage.domain.orders import SubjectType, clean_word
from storage.domain.portraits import PORTRAITS
from storage.domain.recipes import recipe_named, recipe_names
from storage.options import Options
from storage.plan_reading import MAX_BYTES, PlanRefused, Wanted
from storage.plan_reading import read as read_plan
from trainer.continued import Continued, looked_at
from trainer.lessons import HELP as LEARNED_HELP
from trainer.lessons import lesson_or_usage
from trainer.wish import RECIPE_HELP, Wish

EARLY_STOP_HELP = "end where the checkpoints show that nothing better is to come, or do not; else as the recipe has it"


def parse(arguments: Sequence[str] | None) -> tuple[Wish, bool]:
    """The command line; whether JSON was asked for. Exits with usage where it is wrong."""
    parser = _options()
    given = parser.parse_args(arguments)
    plan = _plan_of(given.plan, parser) if given.plan else None
    said = plan.fields if plan else {}
    _require_sense(parser, given, said, planned=plan is not None)
    wish = Wish(
        pictures=given.pictures,
        subject=SubjectType(said.get("subject_type", given.subject)),
        out=given.out,
        class_word=said.get("class_word", clean_word(given.class_word)),
        trigger=said.get("trigger") or clean_word(given.trigger) or None,
        name=_name_of(given.name, given.pictures, plan),
        base=said.get("base", given.base or "pocket"),
        steps=given.steps,
        early_stop=given.early_stop,
        recipe=given.recipe or recipe_named(said.get("recipe", "house")),
        leave_out=tuple(given.leave_out),
        keep=tuple(given.keep),
        checkpoints=tuple(given.checkpoint),
        plan=replace(plan, fields=said | {"steps": given.steps}) if plan and given.steps else plan,
        continue_from=_start_of(given.continue_from, parser) if given.continue_from else None,
        plan_sha256=hashlib.sha256(given.plan.read_bytes()).hexdigest() if plan else "",
    )
    return replace(wish, lesson=lesson_or_usage(wish.base, wish.subject, parser)) if given.learned else wish, given.json


def _options() -> Options:
    parser = Options(
        "train",
        "Train a LoRA from a folder of pictures, without Discord. The chosen checkpoint is the one that measures best. Stopped, "
        "the same command goes on from the last checkpoint.",
    )
    parser.add_argument(
        "pictures",
        type=Path,
        metavar="DIR",
        help="folder with 4 to 40 pictures of one subject, or with a subfolder for each of several, named like `1_zorvex dog`; or "
        "a dataset of the hub (user/name)",
    )
    parser.add_argument("--subject", choices=[s.value for s in SubjectType], help="what they show")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the LoRA and all about it go")
    parser.add_argument("--class-word", default="", help="what it is in one word: dog, teapot, woman")
    parser.add_argument("--trigger", default="", help="the new word that calls the subject; made up if not given")
    parser.add_argument("--name", default="", help="what the LoRA is called; the folder's name if not given")
    parser.add_argument("--base", choices=[*BASES], help="what to train on, else pocket; `lorasmith bases` tells more")
    parser.add_argument("--recipe", choices=[*recipe_names(), *PORTRAITS], help=RECIPE_HELP)
    parser.add_argument("--steps", type=int, help="another number of steps than the recipe's")
    parser.add_argument("--early-stop", action=argparse.BooleanOptionalAction, help=EARLY_STOP_HELP)
    parser.add_argument("--leave-out", action="append", default=[], metavar="FILE", help="a picture not to use")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="FILE", help="a picture to use whatever was found about it"
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        type=int,
        metavar="STEP",
        help="also write the file of this checkpoint, now or when the same command is given again later",
    )
    parser.add_argument("--json", action="store_true", help="print result.json to standard output at the end")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="a plan file, as `lorasmith plan` prints one")
    parser.add_argument("--learned", action="store_true", help=LEARNED_HELP)
    parser.add_argument("--continue", type=Path, dest="continue_from", metavar="FILE", help="a LoRA to go on from")
    return parser


def _require_sense(parser: Options, given: argparse.Namespace, said: Mapping[str, Any], *, planned: bool) -> None:
    """Exits with usage where something is said twice, or not at all."""
    if given.steps is not None and not 1 <= given.steps <= 100_000:
        parser.error("--steps is between 1 and 100000")
    for name in ("subject", "base", "trigger", "class_word", "steps", "recipe", "early_stop"):
        field = "subject_type" if name == "subject" else name
        if getattr(given, name) not in (None, "") and field in said:
            parser.error(f"the plan file says {field} already; leave out --{name.replace('_', '-')} or that line")
    if given.subject is None and "subject_type" not in said:
        parser.error("the following arguments are required: --subject")
    if given.learned and (planned or given.recipe not in (None, "house")):
        parser.error("--learned changes the house recipe; leave it out beside --plan or another --recipe")


def _name_of(given: str, pictures: Path, plan: Wanted | None) -> str:
    if not given and plan is not None and plan.origin is not None:
        return plan.origin.name
    return clean_word(given or pictures.resolve().name) or "lora"


def _start_of(file: Path, parser: Options) -> Continued:
    try:
        return looked_at(file)
    except LorasmithError as error:
        parser.error(str(error))


def _plan_of(file: Path, parser: Options) -> Wanted:
    try:
        with file.open("rb") as opened_file:
            return read_plan(opened_file.read(MAX_BYTES + 1))
    except OSError as error:
        parser.error(f"{file} cannot be read: {error.strerror}")
    except PlanRefused as error:
        parser.error(f"{file}: {error}")
