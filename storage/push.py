# ruff: noqa: T201  # it talks to the operator's terminal
"""`lorasmith push FILE --to user/name`: a LoRA, its pictures and a card written from its order, on a model hub."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from storage import hub
from storage.domain.bases import BASES
from storage.domain.errors import LorasmithError
from storage.options import Options
from storage.parcel import parcel_of
from storage.words import size

FAILED = 1
SAYS = (
    "Share a LoRA on a model hub: the file, its notes, grids and a card that says how to use it and how it was made. Private "
    "unless --public is given. Training pictures never go along. The token is read from HF_TOKEN, as a variable or in .env."
)


def run(arguments: Sequence[str]) -> int:
    """Exit 0 with the address on standard output, 1 with what to do."""
    parser = Options("push", SAYS)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .safetensors file made by lorasmith; what lies beside it goes along"
    )
    parser.add_argument("--to", required=True, metavar="USER/NAME", help="the repository to make")
    parser.add_argument("--public", action="store_true", help="let everybody see it; else only you and whom you invite")
    parser.add_argument("--again", action="store_true", help="put the files into a repository that is there already")
    parser.add_argument("--name", help="the title of the card; else the order's name")
    parser.add_argument("--card", action="store_true", help="print the card and send nothing")
    given = parser.parse_args(arguments)
    try:
        repository = hub.checked_name(given.to)
        parcel = parcel_of(given.file, repository, given.name)
        if given.card:
            print(bytes(parcel.uploads[0].what).decode(), end="")
            return 0
        print(_announced(repository, [*parcel.uploads], public=given.public), file=sys.stderr)
        base = BASES.get(parcel.facts.base)
        if base and base.licence.non_commercial:
            print(f"{base.title} is for non-commercial use, and so is this LoRA; the card says so.", file=sys.stderr)
        print(
            hub.put(
                repository, parcel.uploads, token=hub.token_of_environment(), public=given.public, again=given.again
            )
        )
    except LorasmithError as error:
        print(f"lorasmith push: {error}", file=sys.stderr)
        return FAILED
    return 0


def _announced(repository: str, uploads: Sequence[hub.Upload], *, public: bool) -> str:
    total = sum(len(u.what) if isinstance(u.what, bytes) else u.what.stat().st_size for u in uploads)
    seen = "for everybody to see" if public else "private"
    return f"{len(uploads)} files, {size(total)}, to {repository} ({seen})."
