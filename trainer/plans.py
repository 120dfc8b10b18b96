"""`lorasmith plan`: print the plan that the recipe makes of a folder of pictures, or the one of an order, as a file to change."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from storage import orders
from storage.database import Database, migrate, require_current
from storage.domain.bases import BASES
from storage.domain.errors import LorasmithError
from storage.domain.orders import SubjectType, clean_word
from storage.domain.portraits import PORTRAITS
from storage.domain.recipes import recipe_names
from storage.options import Options
from storage.plan_file import written
from storage.plan_order import exported, lasting_names
from storage.settings import StorageSettings, wrong_settings
from trainer import terminal
from trainer.alone import settings_of
from trainer.lessons import HELP as LEARNED_HELP
from trainer.lessons import learned_here
from trainer.wish import RECIPE_HELP, Wish, brought_together, drafted, plan_of_wish, require_enough, require_faces
from trainer.worker import opened

SAYS = (
    "Print the plan that the recipe makes of a folder of pictures: every field with what it means and when to change it. "
    "`lorasmith train DIR --plan FILE` carries it out. With --order, the plan of an order that was started."
)


async def plan_of(wish: Wish) -> str:
    """The plan file of a folder. Nothing is kept. Raises `LorasmithError`."""
    settings = settings_of(wish)
    require_faces(settings, wish)
    await asyncio.to_thread(migrate, settings)
    async with opened(settings, f"plan:{secrets.token_hex(4)}", serves=False) as bench:
        try:
            found = await asyncio.to_thread(brought_together, wish)
            order = await drafted(bench, wish, found)
            rows = await bench.database.transact(orders.pictures_of, order.id)
            terminal.pictures(rows)
            kept = require_enough(rows, found)
            return written(plan_of_wish(order, kept, wish, found), called=lasting_names(kept))
        finally:
            await bench.engine.close()


def plan_of_order(order_id: str, settings: StorageSettings) -> str:
    """The plan file of an order. Raises `LorasmithError` where there is none."""
    database = Database(settings)
    try:
        require_current(database)
        with database.session() as session:
            return exported(session, order_id)
    except LookupError as error:
        raise LorasmithError(str(error.args[0])) from error
    finally:
        database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 with the file on standard output, 1 with the reason, 2 where a setting is wrong."""
    parser = Options("plan", SAYS)
    parser.add_argument(
        "pictures",
        type=Path,
        nargs="?",
        metavar="DIR",
        help="folder with 4 to 40 pictures of one subject, or a subfolder each of several",
    )
    parser.add_argument("--subject", choices=[s.value for s in SubjectType], help="what they show")
    parser.add_argument("--base", default="pocket", choices=[*BASES], help="what to train on")
    parser.add_argument("--recipe", default="house", choices=[*recipe_names(), *PORTRAITS], help=RECIPE_HELP)
    parser.add_argument("--class-word", default="", help="what it is in one word: dog, teapot, woman")
    parser.add_argument("--trigger", default="", help="the new word that calls the subject; made up if not given")
    parser.add_argument("--name", default="", help="what the LoRA is called; the folder's name if not given")
    parser.add_argument("--learned", action="store_true", help=LEARNED_HELP)
    parser.add_argument("--order", metavar="ID", help="the plan of this order instead")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where that order was made with `lorasmith train`, if it was"
    )
    given = parser.parse_args(arguments)
    if (given.order is None) == (given.pictures is None) or (given.pictures and not given.subject):
        parser.error("it takes a folder and --subject, or --order")
    if given.learned and (given.order or given.recipe != "house"):
        parser.error("--learned changes the house recipe of a folder; leave it out beside --order or another --recipe")
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if given.order:
            place = {"data_dir": given.out / ".lorasmith", "database_url": None} if given.out else {}
            text = plan_of_order(given.order, StorageSettings(**place))
        else:
            with tempfile.TemporaryDirectory(prefix="lorasmith-plan-") as folder:
                text = asyncio.run(plan_of(_wish(given.pictures, Path(folder), vars(given))))
    except ValidationError as error:
        print("\n".join(wrong_settings(error)), file=sys.stderr)  # noqa: T201  # to the operator's terminal
        return 2
    except LorasmithError as error:
        print(f"lorasmith plan: {error}", file=sys.stderr)  # noqa: T201  # as above
        return 1
    sys.stdout.write(text)
    return 0


def _wish(pictures: Path, out: Path, said: dict[str, Any]) -> Wish:
    return Wish(
        pictures=pictures,
        subject=SubjectType(said["subject"]),
        out=out,
        class_word=clean_word(said["class_word"]),
        trigger=clean_word(said["trigger"]) or None,
        name=clean_word(said["name"] or pictures.resolve().name) or "lora",
        base=said["base"],
        recipe=said["recipe"],
        lesson=learned_here(said["base"], SubjectType(said["subject"])) if said["learned"] else None,
    )


if __name__ == "__main__":
    sys.exit(main())
