"""`lorasmith train user/dataset`: the pictures and captions of a dataset on the hub, as a folder.

Taken are the pictures of one folder with what describes them there (`metadata.jsonl`, texts beside pictures) or one folder above
(`metadata.jsonl` with `images/1.jpg` in it), at the one commit that was listed, each no longer than was said. Datasets that keep
pictures in tables are told to be unpacked first.
The API: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from storage.captions import MAX_BYTES, decoded
from storage.domain.errors import LorasmithError
from storage.pictures import LIMITS
from trainer.gathering import CAPTION_ENDINGS, METADATA, MOST_FILES, PICTURES

MOST_BYTES = 2 << 30
"""Of all pictures together."""
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class DatasetRefused(LorasmithError):
    """This dataset cannot be trained on."""


def is_dataset(name: str) -> bool:
    """Whether `name` reads as a dataset of the hub rather than as a folder that is here."""
    return _ID.fullmatch(name) is not None and not Path(name).exists()


def brought(name: str, into: Path, *, endpoint: str | None = None) -> Path:
    """A folder with the dataset's pictures, below `into`; files that are there are not fetched again. Raises `DatasetRefused`."""
    try:
        info = HfApi(endpoint=endpoint).dataset_info(name, files_metadata=True, timeout=30)
        sizes = {s.rfilename: s.size for s in info.siblings or ()}
        chosen = _chosen(name, sizes)
        where = into / name.replace("/", "--") / str(info.sha)[:12]
        for file in chosen:
            hf_hub_download(
                name, file, repo_type="dataset", revision=info.sha, local_dir=where, endpoint=endpoint, etag_timeout=30
            )
    except (httpx2.HTTPError, HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise DatasetRefused(_why(name, error)) from error
    for file in chosen:
        if (where / file).stat().st_size != sizes[file]:
            raise DatasetRefused(f"{name}/{file} came with another length than the hub says; try again")
    home = _home(chosen)
    if above := _above(chosen, home):
        _brought_down(where / above, where / home)
    return where / home


def _home(chosen: list[str]) -> PurePosixPath:
    return next(PurePosixPath(f).parent for f in chosen if f.lower().endswith(PICTURES))


def _above(chosen: list[str], home: PurePosixPath) -> str | None:
    """The `metadata.jsonl` of the folder above, where there is none beside the pictures."""
    names = {str(home / METADATA), str(home.parent / METADATA)} & set(chosen)
    return names.pop() if names == {str(home.parent / METADATA)} and home.parent != home else None


def _brought_down(metadata: Path, folder: Path) -> None:
    """Lines about pictures of this folder, with their names as they are in it. Raises `CaptionsRefused`."""
    kept = []
    for line in decoded(metadata.read_bytes(), METADATA).split("\n"):
        try:
            entry = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            kept.append(line)  # whoever reads it says what is wrong
            continue
        if isinstance(entry, dict) and isinstance(name := entry.get("file_name"), str):
            path = PurePosixPath(name)
            kept += [json.dumps({**entry, "file_name": path.name})] if path.parent.name == folder.name else []
    (folder / METADATA).write_text("\n".join(kept), encoding="utf-8")


def _chosen(name: str, sizes: dict[str, int | None]) -> list[str]:
    """The files of the folder with most pictures. Raises `DatasetRefused` where that is no set of pictures."""
    plain = [f for f in sizes if not PurePosixPath(f).is_absolute() and not set(PurePosixPath(f).parts) & {"..", "."}]
    folders = Counter(str(PurePosixPath(f).parent) for f in plain if f.lower().endswith(PICTURES))
    if not folders:
        tables = any(f.endswith((".parquet", ".arrow", ".tar", ".zip")) for f in plain)
        unpack = (
            "keeps its pictures in tables or archives; unpack it into a folder first" if tables else "has no pictures"
        )
        raise DatasetRefused(f"the dataset {name} {unpack}")
    home = folders.most_common(1)[0][0]
    taken = sorted(f for f in plain if str(PurePosixPath(f).parent) == home and _is_needed(f))
    above, beside = (str(place / METADATA) for place in (PurePosixPath(home).parent, PurePosixPath(home)))
    taken += [above] if above in plain and beside not in plain else []
    if len(taken) > MOST_FILES:
        raise DatasetRefused(
            f"{name} has {len(taken)} files in {home}; one order learns one subject from 4 to 40 pictures"
        )
    for file in taken:
        most = LIMITS.max_bytes if file.lower().endswith(PICTURES) else MAX_BYTES
        if sizes[file] is None or not 0 <= (sizes[file] or 0) <= most:
            raise DatasetRefused(f"{name}/{file} is too large, or the hub does not say how large it is")
    if sum(sizes[file] or 0 for file in taken) > MOST_BYTES:
        raise DatasetRefused(f"the pictures of {name} are more than {MOST_BYTES >> 30} GiB")
    return taken


def _is_needed(file: str) -> bool:
    return file.lower().endswith((*PICTURES, *CAPTION_ENDINGS)) or PurePosixPath(file).name == METADATA


def _why(name: str, error: BaseException) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so {name} is not fetched. Unset it, or name a folder"
    if isinstance(error, GatedRepoError):
        return f"{name} is handed out only to accounts that asked for it; log in with: hf auth login"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no folder {name}, and the hub has no dataset of that name (or hides it from this account)"
    if isinstance(error, HfHubHTTPError):
        return f"the hub answered {error.response.status_code} for {name}. Try again later"
    return f"{name} could not be fetched from the hub ({type(error).__name__}). Look at the network, or name a folder"
