"""What an installation's votes taught, for commands that have no votes of their own: `--learned`."""

from __future__ import annotations

from pydantic import ValidationError

from storage.database import Database, require_current
from storage.domain.errors import LorasmithError
from storage.domain.lesson import Lesson
from storage.domain.orders import SubjectType
from storage.options import Options
from storage.outcomes import known
from storage.settings import StorageSettings, wrong_settings
from trainer import terminal

HELP = (
    "change the house recipe by what votes taught in the installation that LORASMITH_DATA_DIR or LORASMITH_DATABASE_URL names "
    "(`lorasmith outcomes` shows it); without it the same command makes the same plan everywhere"
)


def learned_here(base: str, subject_type: SubjectType) -> Lesson | None:
    """For one kind of order; None, and said, where nothing was learned for it. Raises `LorasmithError` without a database."""
    try:
        settings = StorageSettings()
    except ValidationError as error:
        raise LorasmithError("; ".join(wrong_settings(error))) from error
    if settings.on_sqlite and settings.database_url is None and not (settings.data_dir / "lorasmith.db").exists():
        raise LorasmithError(
            f"--learned: there is no database in {settings.data_dir}; LORASMITH_DATA_DIR says where it is"
        )
    database = Database(settings)
    try:
        require_current(database)
        with database.session() as session:
            found = known(session).lesson(base, subject_type)
    finally:
        database.close()
    if found is None:
        terminal.say(f"Nothing was learned yet about {subject_type.value} orders on {base}: the recipe is as it comes.")
    return found


def lesson_or_usage(base: str, subject_type: SubjectType, parser: Options) -> Lesson | None:
    """The same for a command line that is being read: without a database it ends there."""
    try:
        return learned_here(base, subject_type)
    except LorasmithError as error:
        parser.error(str(error))
