"""`python -m trainer.health`: whether a worker of this host is alive, by its lease. For a container's healthcheck."""

from __future__ import annotations

import socket
import sys

from sqlalchemy.exc import SQLAlchemyError

from storage import leases
from storage.database import Database
from storage.settings import StorageSettings


def main() -> int:
    """0 where a living worker of this host holds a lease, else 1."""
    database = Database(StorageSettings())
    try:
        with database.session() as session:
            alive = any(lease.host == socket.gethostname() for lease in leases.workers(session))
    except SQLAlchemyError as error:
        print(f"the database does not answer: {type(error).__name__}", file=sys.stderr)  # noqa: T201  # read by docker inspect
        return 1
    finally:
        database.close()
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
