"""`lorasmith push`: what is shared, what never is, what is said where it cannot be; against a server that speaks the hub's API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import constants
from PIL import Image

from storage import hub
from storage.domain.errors import FileRefused
from storage.domain.orders import SubjectType
from storage.domain.recipes import PictureOf, plan_for
from storage.hub import HubRefused, Upload, put, refusal
from storage.lora_file import About, Called, metadata_for, write_lora
from storage.parcel import parcel_of
from storage.push import run
from tests.storage.hub_store import TOKEN, Repository, Store, serving

pytestmark = pytest.mark.filterwarnings(
    r"ignore:Use 'content=<...>' to upload raw:DeprecationWarning"
)  # huggingface_hub's own
NAME = "blue-cat-4k7m2p9x"
PLAN = plan_for(
    base="pocket",
    subject_type=SubjectType.CHARACTER,
    class_word="cat",
    trigger="zorvex",
    seed=5,
    pictures=[PictureOf(id=f"p{i}", dhash=i) for i in range(8)],
)


def about(**changes: Any) -> About:
    made = About(
        title=NAME, architecture="pocket", base="pocket", trigger="zorvex", class_word="cat", subject="character", rank=4,
        alpha=4.0, conv=False, width=64, height=64, pictures=7, step=96, steps=160, batch=8, learning_rate=5e-4, seed=5,
        precision="no", created_at=datetime(2025, 1, 2, tzinfo=UTC), order="4k7m2p9x",
    )  # fmt: skip
    return replace(made, **changes)


def result() -> dict[str, Any]:
    points = [{"scale": s, "likeness": 0.8, "adherence": 0.9, "leakage": 0.1, "utility": 0.8} for s in (0.4, 0.8, 1.2)]
    rows = [
        {
            "step": s,
            "votes": v,
            "likeness": 0.5,
            "adherence": 1.0,
            "leakage": 0.25,
            "validation_ratio": None,
            "utility": 1.0,
        }
        for s, v in ((48, 1), (96, 4))
    ]
    return {
        "order": "4k7m2p9x",
        "pictures": {"kept": 8, "refused": 0},
        "name": "Blue <script>alert(1)</script> cat | [x](y)",
        "plan": json.loads(PLAN.to_json()),
        "fit": {"device": "cpu", "precision": "fp32", "micro_batch": 8, "gradient_checkpointing": False, "threads": 2,
                "deterministic": True},
        "departures": [{"step": 80, "kind": "learning_rate_halved", "reason": "the loss was not a number"}],
        "checkpoints": rows,
        "scale": {"recommended": 0.8, "low": 0.7, "high": 0.9, "points": points, "measured": True},
        "recommended_scale": 0.8,
        "lora": "/home/ann/secret/place/blue.safetensors",
        "log": [],
    }  # fmt: skip


def delivered(folder: Path, **changes: Any) -> Path:
    """A folder as `lorasmith train` writes it."""
    for inner in ("grids", "samples", "pictures"):
        (folder / inner).mkdir(parents=True)
    file = folder / f"{NAME}.safetensors"
    tensors = {"lora_unet_a.lora_down.weight": np.ones((4, 8), np.float32)}
    write_lora(file, tensors, metadata_for(about(**changes), tensors))
    (folder / f"{NAME}.json").write_text('{"preferred weight": 0.8}')
    (folder / "result.json").write_text(json.dumps(result()))
    (folder / "page.html").write_text("<p>private</p>")
    first = next(row for row, prompt in enumerate(PLAN.prompts) if prompt.with_trigger)
    names = [f"{NAME}.preview.png", f"{NAME}.scales.png", "grids/step-48.png", "grids/step-96.png"]
    for k, name in enumerate([*names, f"samples/{first}-{PLAN.prompts[first].seeds[0]}.png", "pictures/0.png"]):
        Image.new("RGB", (9, 9), (k, 50, 90)).save(folder / name)
    (folder / "samples" / "1-1.png").write_text("no picture")
    return file


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", constants.HF_HUB_DISABLE_XET)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving(Store()) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        yield running


def head_of(card: str) -> dict[str, Any]:
    found = yaml.safe_load(card.removeprefix("---\n").split("\n---\n")[0])
    assert isinstance(found, dict)
    return found


def test_a_lora_its_pictures_and_its_card_are_shared_in_private_and_nothing_else(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = delivered(tmp_path / "out")
    assert run([str(file), "--to", "ann/blue-cat"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{store.url}/ann/blue-cat\n"
    assert "private" in said.err
    made = store.repositories["ann/blue-cat"]
    assert made.private
    assert made.commits == 1
    assert set(made.files) == {
        "README.md", file.name, f"{NAME}.json", f"{NAME}.preview.png", "scales.png", "grids/step-48.png", "grids/step-96.png",
        next(name for name in made.files if name.startswith("samples/")),
    }  # fmt: skip
    assert made.files[file.name] == file.read_bytes()
    assert not store.leaked, "the token went to another host"
    everything = b"".join(data for name, data in made.files.items() if name != file.name)
    assert b"/home/ann" not in everything
    assert TOKEN not in said.err + said.out


def test_the_card_says_what_it_is_how_to_use_it_and_what_was_measured(tmp_path: Path) -> None:
    parcel = parcel_of(delivered(tmp_path / "out"), "ann/cat")
    text = bytes(parcel.uploads[0].what).decode()  # type: ignore[arg-type]
    head = head_of(text)
    assert head["license"] == "mit"
    assert head["instance_prompt"] == "zorvex cat"
    assert {"lora", "text-to-image", "lorasmith", "template:sd-lora"} <= set(head["tags"])
    assert "base_model" not in head, "the pocket is on no hub"
    (widget,) = head["widget"]
    assert widget["text"] in [p.text for p in PLAN.prompts]
    assert widget["output"]["url"] in [u.name for u in parcel.uploads]
    for words in (
        "Recommended scale 0.80; good from 0.70 to 0.90", "| **96** (this file) | 4 | 50\u00a0% | 100\u00a0% | 25\u00a0% | – |",
        "zorvex cat",
        "![Grid of pictures drawn at step 96", f"Recipe {PLAN.recipe}".replace("-", "\\-"), "the learning rate was halved",
        'set_adapters("a", 0.80)', "ComfyUI",
    ):  # fmt: skip
        assert words in text, words
    assert "<script>" not in text
    assert "\n# Blue &lt;script&gt;alert(1)&lt;/script&gt; cat \\| \\[x\\](y)\n" in text.replace("\\(", "(").replace(
        "\\)", ")"
    )


def test_the_card_of_several_concepts_names_all_of_them(tmp_path: Path) -> None:
    words = (("zorvex", "cat"), ("kre", "<dog>"))
    called = tuple(Called(trigger=t, class_word=c, pictures=4, repeats=1) for t, c in words)
    file = delivered(tmp_path / "out", concepts=called)
    text = bytes(parcel_of(file, "ann/both").uploads[0].what).decode()  # type: ignore[arg-type]
    assert head_of(text)["instance_prompt"] == "zorvex cat, kre <dog>"
    assert "Write **zorvex cat** or **kre &lt;dog&gt;** in the prompt." in text
    assert "A LoRA of a cat and a &lt;dog&gt; (character)" in text.replace("\\", "")


@pytest.mark.parametrize(
    ("base", "licence", "hub_id"),
    [
        ("flux1-dev", "other", "black-forest-labs/FLUX.1-dev"),
        ("sdxl", "openrail++", "stabilityai/stable-diffusion-xl-base-1.0"),
        ("z-image", "apache-2.0", "Tongyi-MAI/Z-Image"),
    ],
)
def test_the_bases_licence_goes_along(tmp_path: Path, base: str, licence: str, hub_id: str) -> None:
    parcel = parcel_of(delivered(tmp_path / "out", architecture=base), "ann/cat")
    text = bytes(parcel.uploads[0].what).decode()  # type: ignore[arg-type]
    head = head_of(text)
    assert (head["license"], head["base_model"], head["base_model_relation"]) == (licence, hub_id, "adapter")
    assert ("Not for commercial use" in text) == (base == "flux1-dev")
    if licence == "other":
        assert head["license_name"] == "flux.1-dev-non-commercial-license"
        assert head["license_link"].startswith("https://")


def test_what_people_typed_is_quoted_in_the_head_and_powerless_below(tmp_path: Path) -> None:
    nasty = 'x\nlicense: mit\n---\n# "y": {a: !!python/object:os.system} \u2028 <img src=x onerror=alert(1)> [a](javascript:b)'
    parcel = parcel_of(delivered(tmp_path / "out", trigger=nasty, architecture="sdxl"), "ann/cat", name=nasty)
    text = bytes(parcel.uploads[0].what).decode()  # type: ignore[arg-type]
    assert head_of(text)["license"] == "openrail++"
    assert "<img" not in text.split("\n---\n", 1)[1].replace("```", "")
    assert "](javascript" not in text.split("\n---\n", 1)[1].split("```")[0]


def test_doing_it_again_sends_nothing_twice(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = delivered(tmp_path / "out")
    assert run([str(file), "--to", "ann/blue-cat"]) == 0
    puts = store.asked.count("put")
    assert run([str(file), "--to", "ann/blue-cat"]) == 1
    assert "ann/blue-cat is there already. Take another name, or --again" in capsys.readouterr().err
    assert run([str(file), "--to", "ann/blue-cat", "--again"]) == 0
    assert store.repositories["ann/blue-cat"].commits == 1
    assert store.asked.count("put") == puts


def test_nothing_goes_into_a_public_repository_unless_that_was_said(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = delivered(tmp_path / "out")
    store.repositories["ann/open"] = Repository(private=False)
    assert run([str(file), "--to", "ann/open", "--again"]) == 1
    assert "ann/open is public" in capsys.readouterr().err
    assert store.repositories["ann/open"].files == {}
    assert run([str(file), "--to", "ann/open", "--again", "--public"]) == 0
    assert run([str(file), "--to", "ann/new", "--public"]) == 0
    assert not store.repositories["ann/new"].private


@pytest.mark.parametrize(
    ("refuse", "to", "words"),
    [
        ({}, "bob/cat", "this token may not write to bob"),
        ({"create": 401}, "ann/cat", "does not take the token in HF_TOKEN"),
        ({"commit": 507}, "ann/cat", "no room for it in the account ann"),
        ({"preupload": 400}, "ann/cat", "the hub answered 400"),
        ({"put": 403}, "ann/cat", "this token may not write to ann"),
        ({}, "ann", "is no name for a hub"),
        ({}, "ann/a..b", "is no name for a hub"),
        ({}, "../ann/cat", "is no name for a hub"),
    ],
)
def test_what_cannot_be_says_what_to_do_and_holds_no_secret(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, refuse: dict[str, int], to: str, words: str
) -> None:
    store.refuse = refuse
    assert run([str(delivered(tmp_path / "out")), "--to", to]) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert "Signature" not in said.err + said.out
    assert TOKEN not in said.err + said.out


def test_without_a_token_or_a_network_it_is_said_before_anything_is_sent(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = [Upload(name="README.md", what=b"x")]
    with pytest.raises(HubRefused, match=r"there is no token.*HF_TOKEN"):
        put("ann/cat", file, token=None)
    with pytest.raises(HubRefused, match=r"cannot be reached \(\w+\)"):
        put("ann/cat", file, token=TOKEN, endpoint="http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubRefused, match="HF_HUB_OFFLINE is set"):
        put("ann/cat", file, token=TOKEN)
    assert store.asked == []


def test_the_token_comes_from_the_variable_or_the_env_file_and_from_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "stored"))
    (tmp_path / "stored").write_text("hf_stored")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert hub.token_of_environment(tmp_path / ".env") is None
    (tmp_path / ".env").write_text("LORASMITH_TOKEN=a\nHF_TOKEN=hf_file\n")
    assert hub.token_of_environment(tmp_path / ".env") == "hf_file"
    monkeypatch.setenv("HF_TOKEN", "hf_variable")
    assert hub.token_of_environment(tmp_path / ".env") == "hf_variable"


def test_a_removed_repository_is_gone_and_removing_it_again_is_fine(store: Store) -> None:
    store.repositories["ann/cat"] = Repository(private=True)
    hub.remove("ann/cat", token=TOKEN)
    hub.remove("ann/cat", token=TOKEN)
    assert store.repositories == {}


def test_only_our_own_files_are_shared_and_results_of_other_orders_stay_out(tmp_path: Path) -> None:
    file = delivered(tmp_path / "out")
    said = result() | {"order": "another1", "name": "somebody else's"}
    (tmp_path / "out" / "result.json").write_text(json.dumps(said))
    parcel = parcel_of(file, "ann/cat")
    assert parcel.facts.name == NAME
    assert parcel.facts.plan is None
    assert parcel.facts.scale == 0.8, "from the notes beside the file"
    foreign = tmp_path / "foreign.safetensors"
    write_lora(foreign, {"a": np.ones(2, np.float32)}, {"format": "pt"})
    with pytest.raises(FileRefused, match="only files made by lorasmith"):
        parcel_of(foreign, "ann/cat")
    (tmp_path / "out" / "result.json").write_text("[" * 100_000)
    assert parcel_of(file, "ann/cat").facts.checkpoints == []


def test_the_command_shows_the_card_without_sending_anything(tmp_path: Path) -> None:
    file = delivered(tmp_path / "out")
    environment = {k: v for k, v in os.environ.items() if k != "HF_TOKEN"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "storage.command", "push", str(file), "--to", "ann/cat", "--card"],
        capture_output=True, text=True, check=False, timeout=60, env=environment, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("---\nlicense: ")
    assert done.stderr == ""


def test_an_unknown_error_is_named_by_its_kind_alone() -> None:
    assert refusal(ValueError("https://x/?token=hf_abc"), "ann/cat") == "sharing failed (ValueError)."
