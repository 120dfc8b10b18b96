"""`lorasmith fetch` and `lorasmith bases`, against a hub on 127.0.0.1: every byte checked, none fetched twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from storage.domain.bases import BASES
from storage.lora_file import write_lora
from tests.trainer.hub_server import COMMIT, Hub, serving
from trainer import download, fetch, hub
from trainer.bases import rows, text
from trainer.fetch import copy
from trainer.hub import FetchRefused, wanted
from trainer.settings import WorkerSettings
from trainer.weights import faults, located, missing, present

ROOT = Path(__file__).parents[2]
KNOWN = replace(BASES["flux1-dev"], revision=COMMIT)
REPOSITORY = str(KNOWN.hub)
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
INDEX = {
    "_class_name": "FluxPipeline",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "image_encoder": [None, None],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A pipeline's files with weights of some kilobytes, and things beside them that nobody needs."""
    path = tmp_path_factory.mktemp("weights") / "x.safetensors"

    def weights(seed: int, size: int) -> bytes:
        write_lora(path, {"a": np.random.default_rng(seed).standard_normal(size).astype(np.float32)}, {})
        return path.read_bytes()

    shards = {f"model-0000{n}-of-00002.safetensors": weights(n, 300) for n in (1, 2)}
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(shards)}}
    return {
        "model_index.json": json.dumps(INDEX).encode(),
        "scheduler/scheduler_config.json": b'{"shift": 3}',
        "tokenizer/vocab.json": b"{}",
        "tokenizer/merges.txt": b"a b",
        "tokenizer_2/tokenizer.json": b"{}",
        "text_encoder/config.json": b'{"b": 2}',
        "text_encoder/model.safetensors": weights(3, 200),
        "text_encoder_2/config.json": b'{"a": 1}',
        "text_encoder_2/model.safetensors.index.json": json.dumps(index).encode(),
        **{f"text_encoder_2/{name}": data for name, data in shards.items()},
        "transformer/config.json": b'{"c": 3}',
        WEIGHTS: weights(4, 200_000),
        "vae/config.json": b'{"d": 4}',
        "vae/diffusion_pytorch_model.safetensors": weights(5, 500),
        "flux1-dev.safetensors": weights(6, 9),
        "text_encoder/pytorch_model.bin": b"\x80pickle",
        "README.md": b"read me",
    }


@pytest.fixture
def server(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    with serving(Hub(files=dict(files), repository=REPOSITORY)) as running:
        yield running


def fetched(server: Hub) -> Path:
    return fetch.fetch(KNOWN, endpoint=server.url)


def test_what_is_needed_is_fetched_once_and_nothing_else(server: Hub, files: dict[str, bytes]) -> None:
    folder = fetched(server)
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    unneeded = {"flux1-dev.safetensors", "text_encoder/pytorch_model.bin", "README.md"}
    assert found == {name: data for name, data in files.items() if name not in unneeded}
    assert located(f"{REPOSITORY}@{COMMIT}") == folder
    assert present("flux1-dev", f"{REPOSITORY}@{COMMIT}")
    before = len(server.asked)
    assert fetched(server) == folder
    assert len(server.asked) == before, "it was fetched again"
    assert not list(folder.parents[1].rglob("*part"))


def test_a_broken_connection_is_taken_up_where_it_broke(server: Hub) -> None:
    server.cut_after = [700, *[10**9] * 4, 100_000, 300_000]
    server.busy = 2
    assert present("flux1-dev", str(fetched(server)))
    begun = [int(asked[6:-1]) for name, asked in server.asked if name == WEIGHTS and asked]
    assert begun, "nothing was taken up"
    assert begun == sorted(set(begun)), "bytes were fetched twice"


def test_a_download_that_was_stopped_goes_on_in_the_next_run(server: Hub) -> None:
    server.cut_after = [10**9] * 4 + [400_000] + [0] * 20
    with pytest.raises(FetchRefused, match="cannot be reached"):
        fetched(server)
    assert not present("flux1-dev", f"{REPOSITORY}@{COMMIT}")
    assert "Go on with: lorasmith fetch flux1-dev" in missing_with_commit()
    server.cut_after, server.asked = [], []
    assert present("flux1-dev", str(fetched(server)))
    assert server.asked == [(WEIGHTS, "bytes=400000-")]


def missing_with_commit() -> str:
    original = BASES["flux1-dev"]
    BASES["flux1-dev"] = KNOWN
    try:
        return missing("flux1-dev", str(KNOWN.source))
    finally:
        BASES["flux1-dev"] = original


def test_a_hub_that_knows_no_ranges_is_asked_from_the_beginning(server: Hub, files: dict[str, bytes]) -> None:
    server.ignores_ranges, server.cut_after = True, [10**9] * 4 + [5000]
    assert (fetched(server) / WEIGHTS).read_bytes() == files[WEIGHTS]


def test_a_wrong_byte_is_noticed_fetched_again_and_refused_when_it_stays(server: Hub) -> None:
    server.spoilt = 1
    assert present("flux1-dev", str(fetched(server)))


def test_weights_that_stay_wrong_are_refused_and_thrown_away(server: Hub, tmp_path: Path) -> None:
    server.spoilt = 99
    with pytest.raises(FetchRefused, match="another hash than the hub says"):
        fetched(server)
    assert not list((tmp_path / "hub").rglob("*part"))


def test_a_cached_file_that_was_damaged_later_is_mended(server: Hub, files: dict[str, bytes]) -> None:
    folder = fetched(server)
    (folder / WEIGHTS).resolve().write_bytes(b"x" * len(files[WEIGHTS]))
    (folder / "vae/config.json").resolve().write_bytes(b"")
    assert len(faults(folder, KNOWN)) == 2
    fetched(server)
    assert (folder / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert faults(folder, KNOWN) == ()


def test_without_a_token_a_gated_base_says_three_steps(server: Hub) -> None:
    server.gated = True
    with pytest.raises(
        FetchRefused, match=r"accept it at https://huggingface.co/black-forest-labs/FLUX\.1-dev"
    ) as refused:
        fetched(server)
    assert "Set HF_TOKEN" in str(refused.value)
    assert "non-commercial" in str(refused.value)


def test_a_token_whose_account_accepted_nothing_is_told_so_and_never_shown(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(FetchRefused, match="has not accepted it") as refused:
        fetched(server)
    assert "hf_secret" not in str(refused.value)


def test_the_right_token_opens_and_stays_with_the_hub(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.gated, server.token = True, "hf_good"
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert present("flux1-dev", str(fetched(server)))
    assert server.leaked == [], "the token went to the second host"


def test_a_disk_without_room_is_refused_before_anything_is_fetched(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SPARE_BYTES", 1 << 62)
    with pytest.raises(FetchRefused, match="GB are free"):
        fetched(server)
    assert server.asked == []


def test_offline_says_what_to_do(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FetchRefused, match="HF_HUB_OFFLINE is set"):
        fetched(server)


def test_a_repository_that_is_gone_and_one_without_hashes_are_refused(server: Hub) -> None:
    with pytest.raises(FetchRefused, match="hides it"):
        fetch.fetch(replace(KNOWN, hub="nobody/nothing"), endpoint=server.url)
    del server.files["model_index.json"]
    with pytest.raises(FetchRefused, match="not a diffusers pipeline"):
        fetched(server)


def test_of_two_precisions_half_is_taken_where_the_base_says_so() -> None:
    names = [
        *("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "sd_xl.safetensors"),
        *("unet/diffusion_pytorch_model.fp16.safetensors", "unet/model.onnx", "unet/../evil.json", "vae/a/b.json"),
        *("vae/diffusion_pytorch_model.safetensors", "vae/config.json", "safety_checker/config.json"),
    ]
    assert wanted(names, BASES["sdxl"]) == [
        *("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors"),
        *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
    ]


def test_a_folder_is_copied_whole_or_refused(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "usb stick"
    for name, data in server.files.items():
        (given / name).parent.mkdir(parents=True, exist_ok=True)
        (given / name).write_bytes(data)
    taken = copy(BASES["flux1-dev"], given)
    assert faults(taken, KNOWN) == ()
    assert not (taken / "README.md").exists()
    settings = WorkerSettings(bases=("flux1-dev",))
    assert settings.weights("flux1-dev") == str(taken)
    (row,) = [row for row in rows(settings) if row["base"] == "flux1-dev"]
    assert (row["here"], row["folder"], row["non_commercial"]) == (True, str(taken), True)
    with pytest.raises(FetchRefused, match="holds a FluxPipeline, and SDXL is a StableDiffusionXLPipeline"):
        copy(BASES["sdxl"], given)
    whole = (given / WEIGHTS).read_bytes()
    (given / WEIGHTS).write_bytes(whole[:-1])
    with pytest.raises(FetchRefused, match=r"cannot be used: transformer/.* is damaged or not whole"):
        copy(BASES["flux1-dev"], given)
    with pytest.raises(FetchRefused, match="LORASMITH_BASE_SDXL="):
        copy(BASES["sdxl"], given / WEIGHTS)
    (given / WEIGHTS).write_bytes(whole)
    (given / "model_index.json").write_text(json.dumps(INDEX | {"is_distilled": True}))
    with pytest.raises(FetchRefused, match="distilled"):
        copy(BASES["flux1-dev"], given)


def test_the_command_says_licence_and_folder_and_never_a_traceback(server: Hub, tmp_path: Path) -> None:
    """As a program, at a hub that does not answer."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "LORASMITH_"))}
    done = subprocess.run(
        [sys.executable, "-m", "trainer.fetch", "z-image"],
        cwd=ROOT,
        env=clean | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_CACHE": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Apache License 2.0" in done.stderr
    assert "the hub cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_base_is_listed_with_its_terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = rows(WorkerSettings())
    assert [row["base"] for row in found] == list(BASES)
    assert [row["base"] for row in found if row["here"]] == ["pocket"]
    assert {row["base"] for row in found if row["non_commercial"]} == {"flux1-dev", "flux2-klein-9b"}
    said = text(found)
    assert said.count("NOT FOR COMMERCIAL USE") == 2
    assert "no: lorasmith fetch z-image" in said


def test_listings_beyond_reason_are_refused(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_FILES", 3)
    with pytest.raises(FetchRefused, match="is not what is expected of a model"):
        fetched(server)
