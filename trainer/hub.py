"""What the hub has of a base model, or of one that looks at pictures: which files are needed, how long they are, and what they
hash to; and its refusals in words.

The hub's API as its library speaks it: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx2
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from storage.domain.bases import KnownBase
from storage.domain.errors import LorasmithError
from storage.domain.observers import Observer

Known = KnownBase | Observer
"""What can be fetched."""

ENDINGS = (".json", ".txt", ".model", ".safetensors", ".jinja")
"""Configurations, vocabularies and weights; nothing that would have to be unpickled or run."""
MOST_FILES = 200
MOST_BYTES = 200 * 10**9
"""Thrice the largest base: a listing beyond these is not that of a base model."""
MOST_SMALL = 64 << 20
"""Bytes of a file that is no weights; the longest vocabulary is 17 MB."""
TOKENS_PAGE = "https://huggingface.co/settings/tokens"
_PLAIN = re.compile(r"[\w-][\w.-]{0,150}")


class FetchRefused(LorasmithError):
    """The model cannot be fetched. The message says what to do and holds no token and no signed address."""


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a base model, as the hub describes it."""

    path: str
    """Inside the repository, e.g. `vae/config.json`."""
    size: int
    digest: str
    """SHA-256 of a large file; of a small one git's SHA-1 of a blob. Also the name of the cache's copy."""

    @property
    def large(self) -> bool:
        """Whether `digest` is a SHA-256."""
        return len(self.digest) == 64


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One commit of a repository, with the files that are needed of it."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def listing(known: Known, endpoint: str | None = None) -> Listing:
    """What is to be fetched of a model. Raises `FetchRefused`."""
    if known.hub is None:
        raise FetchRefused(f"{known.title} comes with lorasmith; there is nothing to fetch")
    try:
        info = HfApi(endpoint=endpoint).model_info(known.hub, revision=known.revision, files_metadata=True, timeout=30)
    except (httpx2.HTTPError, OSError) as error:
        raise FetchRefused(refusal(error, known)) from error
    found = {s.rfilename: s for s in info.siblings or ()}
    files = []
    for name in wanted(found, known):
        sibling = found[name]
        digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        files.append(_checked(name, sibling.size, digest, known))
    listed = Listing(repository=known.hub, commit=str(info.sha), files=tuple(files))
    if not re.fullmatch(r"[0-9a-f]{40}", listed.commit) or len(files) > MOST_FILES or listed.size > MOST_BYTES:
        raise FetchRefused(f"what the hub lists for {known.hub} is not what is expected of a model")
    if isinstance(known, KnownBase) and "model_index.json" not in found:
        raise FetchRefused(f"{known.hub} on the hub is not a diffusers pipeline")
    if isinstance(known, Observer) and (lacks := set(known.needed) - found.keys()):
        raise FetchRefused(f"{known.hub} on the hub has no {min(lacks)}")
    return listed


def _checked(name: str, size: int | None, digest: str | None, known: Known) -> HubFile:
    pinned = known.hashes.get(name) if isinstance(known, Observer) else None
    if pinned and digest and len(digest) == 64 and digest != pinned:
        raise FetchRefused(
            f"the hub has another {name} of {known.hub} than the one that lorasmith knows; nothing is fetched"
        )
    if pinned and size is not None and 0 <= size <= MOST_BYTES:
        return HubFile(path=name, size=size, digest=pinned)
    if size is None or digest is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest):
        raise FetchRefused(f"the hub does not say length and hash of {known.hub}/{name}; nothing unchecked is fetched")
    if size > MOST_SMALL and not name.endswith(".safetensors"):
        raise FetchRefused(f"{known.hub}/{name} is {size >> 20} MiB, and no weights")
    return HubFile(path=name, size=size, digest=digest)


def wanted(names: Iterable[str], known: Known) -> list[str]:
    """The files of a repository that are needed, sorted: of a base its parts' configurations, vocabularies and weights.

    Of weights in several precisions one is taken: half where the base says so and has it, else the plain one.
    """
    if isinstance(known, Observer):
        return sorted({*known.needed, *known.extras} & set(names))
    chosen = ["model_index.json"] if "model_index.json" in (names := sorted(set(names))) else []
    for part in known.parts:
        inside = [name for name in names if _is_of(name, part)]
        weights = [name for name in inside if ".safetensors" in name]
        half = [name for name in weights if ".fp16." in name]
        plain = [name for name in weights if name not in half and ".non_ema." not in name]
        chosen += [name for name in inside if name not in weights]
        chosen += half if known.half and half else plain
    return sorted(chosen)


def _is_of(name: str, part: str) -> bool:
    folder, _, file = name.partition("/")
    return folder == part and name.endswith(ENDINGS) and _PLAIN.fullmatch(file) is not None


def refusal(error: BaseException, known: Known) -> str:
    """What went wrong at the hub and what to do about it."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError) or (known.gated and status in (401, 403)):
        return _gated(known)
    if status == 401 and not isinstance(error, RepositoryNotFoundError):
        return f"the hub does not take the token that is set here. Make a new one at {TOKENS_PAGE} and set HF_TOKEN."
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so nothing is asked of the hub. Unset it, or {_by_hand(known)}"
    if isinstance(error, RevisionNotFoundError):
        return f"the hub has no revision {known.revision} of {known.hub} any more. Tell the makers of lorasmith."
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no {known.hub}, or hides it from this account. Look at {known.page}"
    if status is not None:
        return f"the hub answered {status}. Try again later; what was fetched so far is kept."
    return f"the hub cannot be reached ({type(error).__name__}). Look at the network, or {_by_hand(known)}"


def _gated(known: Known) -> str:
    """Two reasons that the hub words alike: no token, or a licence that this account has not accepted."""
    lines = [f"{known.title} is handed out only to accounts that accepted its licence ({known.licence.name})."]
    if known.licence.non_commercial:
        lines.append("It is for non-commercial use, and so are LoRAs made of it.")
    if get_token() is None:
        lines.append(
            f"1. Log in and accept it at {known.page}  2. Make a token that may read at {TOKENS_PAGE}  "
            "3. Set HF_TOKEN=..., or run: hf auth login"
        )
    else:
        lines.append(
            f"The account of this token has not accepted it at {known.page} (some wait for an answer), or the token may "
            f"not read gated models: see {TOKENS_PAGE}"
        )
    return "\n".join(lines)


def _by_hand(known: Known) -> str:
    if isinstance(known, Observer):
        return f"bring the files by hand from {known.page} and set LORASMITH_{known.name.upper()} to where they are"
    return f"bring a copied folder: lorasmith fetch {known.name} --from FOLDER"


def remaining(files: Sequence[HubFile], here: dict[str, int]) -> int:
    """Bytes that are still to come; `here` says how many of a digest's are on this machine."""
    return sum(max(0, file.size - here.get(file.digest, 0)) for file in files)
