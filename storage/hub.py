"""Putting files on a model hub: the one place that speaks to `huggingface_hub` for that, and its refusals in words.

Uploads go over plain HTTP (git LFS's batch API), which every hub of this kind has and which is tested here; a LoRA is small.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.domain.errors import LorasmithError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class HubRefused(LorasmithError):
    """The hub did not take it. The message says what to do and holds no token and no address with a signature."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file for the hub."""

    name: str
    """Path in the repository."""
    what: Path | bytes


def token_of_environment(env_file: Path = Path(".env")) -> str | None:
    """HF_TOKEN, as a variable or as a line of `.env`. No other place is looked at: what is shared is shared on purpose."""
    from dotenv import dotenv_values  # noqa: PLC0415  # only who shares needs it

    return (os.environ.get("HF_TOKEN") or dotenv_values(env_file).get("HF_TOKEN") or "").strip() or None


def checked_name(repository: str) -> str:
    """`user/name` as a hub takes it. Raises `HubRefused`."""
    last = repository.rsplit("/", 1)[-1]
    odd = ".." in repository or "--" in repository or last.endswith((".git", ".", "-"))
    if not _NAME.fullmatch(repository) or odd:
        raise HubRefused(f"{repository[:120]!a} is no name for a hub: user/name, of letters, digits, - _ and .")
    return repository


def put(
    repository: str,
    uploads: Sequence[Upload],
    *,
    token: str | None,
    public: bool = False,
    again: bool = False,
    endpoint: str | None = None,
) -> str:
    """Makes the repository and puts all files into it in one commit; gives back its address. Raises `HubRefused`.

    `again` puts them into a repository that is there already; files that are the same are not sent twice. Nothing is ever put
    into a public repository unless `public` says so.
    """
    checked_name(repository)
    if not token:
        raise HubRefused(
            f"there is no token. Make one that may write at {TOKENS_PAGE} and set HF_TOKEN=... (or in .env)"
        )
    api = _api(endpoint, token)
    try:
        _make(api, repository, public=public, again=again)
        _commit(api, repository, uploads)
    except HubRefused:
        raise
    except Exception as error:  # noqa: BLE001  # the library raises a dozen kinds; whatever it is, the operator gets a sentence
        raise HubRefused(refusal(error, repository)) from None  # its own words may hold signed addresses
    return f"{api.endpoint}/{repository}"


def remove(repository: str, *, token: str, endpoint: str | None = None) -> None:
    """Takes a repository from the hub; one that is gone already is fine. Raises `HubRefused`."""
    try:
        _api(endpoint, token).delete_repo(repository, missing_ok=True)
    except Exception as error:  # noqa: BLE001  # as above
        raise HubRefused(refusal(error, repository)) from None


def _api(endpoint: str | None, token: str) -> HfApi:
    from huggingface_hub import HfApi, constants  # noqa: PLC0415  # an extra, and seconds of imports

    constants.HF_HUB_DISABLE_XET = True  # read at every upload; the variable of that name is read once, at import
    return HfApi(endpoint=endpoint, token=token)


def _make(api: HfApi, repository: str, *, public: bool, again: bool) -> None:
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415  # as above

    try:
        api.create_repo(repository, visibility="public" if public else "private")
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        if not again:
            raise HubRefused(
                f"{repository} is there already. Take another name, or --again to put the files into it."
            ) from None
        if not public and not api.repo_info(repository).private:
            raise HubRefused(
                f"{repository} is public. With --public the files go into it; otherwise make it private or take another name."
            ) from None


def _commit(api: HfApi, repository: str, uploads: Sequence[Upload]) -> None:
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415  # as above

    operations = [CommitOperationAdd(u.name, u.what) for u in uploads]
    api.create_commit(repository, operations, commit_message="A LoRA by lorasmith")


def refusal(error: BaseException, repository: str) -> str:
    """What went wrong at the hub and what to do about it."""
    causes = list(_causes(error))
    status = next((code for cause in causes if (code := _status(cause)) is not None), None)
    kinds = {type(cause).__name__ for cause in causes}
    owner = repository.partition("/")[0]
    if "OfflineModeIsEnabled" in kinds:
        return "HF_HUB_OFFLINE is set, so nothing is sent to the hub. Unset it."
    if status == 401:
        return f"the hub does not take the token in HF_TOKEN. Make a new one that may write at {TOKENS_PAGE}"
    if status in (403, 404):
        return (
            f"this token may not write to {owner}. Make one with write access to it at {TOKENS_PAGE}, or share under "
            "another name: --to YOU/NAME"
        )
    if status in (402, 413, 507):
        return f"the hub answered {status}: there is no room for it in the account {owner}."
    if status is not None:
        return f"the hub answered {status}. Try again later; --again goes on where it stopped."
    if {"ConnectError", "ConnectTimeout", "ReadTimeout", "ReadError", "ConnectionError", "RemoteProtocolError"} & kinds:
        return f"the hub cannot be reached ({kinds_text(causes)}). Look at the network, then do the same with --again."
    return f"sharing failed ({kinds_text(causes)})."


def kinds_text(causes: Sequence[BaseException]) -> str:
    """The innermost kind of an error: its words may hold addresses."""
    return type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    now: BaseException | None = error
    while now is not None:
        yield now
        now = now.__cause__ or now.__context__


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)
