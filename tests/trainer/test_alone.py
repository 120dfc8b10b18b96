"""`lorasmith train`: a folder of pictures in, a folder with a LoRA out, without Discord."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from storage.database import Database
from storage.domain.errors import LorasmithError
from storage.domain.learned import Learned
from storage.domain.lesson import Dose, Lesson
from storage.domain.orders import SubjectType
from storage.lora_file import read_header, write_lora
from storage.plan_reading import read
from storage.settings import StorageSettings
from storage.tables import Revision
from tests.builders import drawn_pictures, tiny_base
from tests.trainer.ordering import Scripted, script
from trainer import plans
from trainer.alone import main, parse, train
from trainer.wish import Wish


@pytest.fixture
def wish(tmp_path: Path, migrated_file: Path) -> Wish:
    """Six good pictures, one copy and a text; the storage of the command is migrated already, to save seconds."""
    for out in ("out", "calm"):
        (tmp_path / out / ".lorasmith").mkdir(parents=True)
        shutil.copy(migrated_file, tmp_path / out / ".lorasmith/lorasmith.db")
    folder = tmp_path / "my cat"
    folder.mkdir()
    for n, picture in enumerate(drawn_pictures(6)):
        picture.save(folder / f"{n}.png")
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "notes.txt").write_text("not a picture")
    return Wish(
        pictures=folder,
        subject=SubjectType.CHARACTER,
        out=tmp_path / "out",
        class_word="cat",
        trigger=None,
        name="my cat",
        base="pocket",
        steps=10,
        early_stop=False,
    )


def scripted(wish: Wish, tmp_path: Path, rules: str = "[]", **given: object) -> Scripted:
    memory = tmp_path / "memory"
    memory.mkdir(exist_ok=True)
    usual = {"data_dir": wish.out / ".lorasmith", "device": "cpu", "threads": 1, "lease_s": 1e9}
    return Scripted(**usual | {"script": rules, "memory": memory} | given)  # type: ignore[arg-type]


async def test_a_folder_of_pictures_becomes_a_folder_with_a_lora(
    wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    view = await train(wish, scripted(wish, tmp_path))
    result = json.loads((wish.out / "result.json").read_text())
    assert result["order"] == view.id
    assert result["stage"] == "delivered"
    assert (result["base"], result["subject"], result["trigger"]) == ("pocket", "character", view.trigger)
    assert result["pictures"] == {"kept": 6, "refused": 2}
    assert [c["step"] for c in result["checkpoints"]] == result["plan"]["checkpoint_steps"]
    assert all(c["validation_ratio"] is None and c["votes"] == 0 and c["flags"] == [] for c in result["checkpoints"])
    assert result["chosen_because"] == "measurement"
    assert result["chosen_step"] == result["measured_best"] == 6
    assert (result["recommended_scale"], result["scale_band"]) == (0.8, [0.7, 0.9])
    assert result["fit"]["device"] == "cpu"
    assert result["seconds"]["gpu"] > 0
    assert Path(result["lora"]).read_text().startswith("6:")
    assert Path(result["sidecar"]).is_file()
    assert len(list((wish.out / "grids").iterdir())) == 5
    assert "my cat" in (wish.out / "page.html").read_text()
    said = capsys.readouterr().err
    assert "copy.png is the same picture as 0.png" in said
    assert "notes.txt is not a picture" in said
    assert view.trigger in said
    assert "step 6" in said


async def test_pictures_are_left_out_and_kept_by_name(
    wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open(wish.pictures / "1.png").resize((128, 128)).save(wish.pictures / "like-1.png")
    told = replace(wish, leave_out=("0.png",), keep=("like-1.png",))
    await train(told, scripted(told, tmp_path))
    assert json.loads((wish.out / "result.json").read_text())["pictures"] == {"kept": 6, "refused": 3}
    said = capsys.readouterr().err
    assert "0.png was left out, as you asked." in said
    assert "like-1.png" not in said
    with pytest.raises(LorasmithError, match=r"there is no picture nobody\.png"):
        await train(replace(told, keep=("nobody.png",)), scripted(told, tmp_path))


async def test_a_lora_to_go_on_from_comes_with_the_order_and_its_hash_with_the_plan(
    wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = {
        "lora_unet_a.lora_down.weight": np.ones((4, 8), np.float32),
        "lora_unet_a.lora_up.weight": np.ones((8, 4), np.float32),
    }
    write_lora(tmp_path / "a.safetensors", tensors | {"lora_unet_a.alpha": np.array(4.0, np.float32)}, {})
    data = (tmp_path / "a.safetensors").read_bytes()
    told = [
        "--continue",
        str(tmp_path / "a.safetensors"),
        "--subject",
        "object",
        "--out",
        str(wish.out),
        "--steps",
        "10",
        "--early-stop",
    ]
    going, _ = parse([str(wish.pictures), *told])
    view = await train(going, scripted(wish, tmp_path))
    result = json.loads((wish.out / "result.json").read_text())
    plan, stopped = result["plan"], result["stopped_early"]
    assert (stopped["step"], stopped["steps"], stopped["because"]) == (6, 10, "settled")
    assert [c["step"] for c in result["checkpoints"]] == [2, 4, 6]
    assert "after step 6: by what was measured it has settled" in capsys.readouterr().err
    assert (plan["continue_from"], plan["rank"]) == (hashlib.sha256(data).hexdigest(), 4)
    kept = [file.read_bytes() for file in (wish.out / ".lorasmith").rglob("start.safetensors")]
    assert kept
    assert set(kept) == {data}
    assert view.id != (await train(replace(wish, subject=SubjectType.OBJECT), scripted(wish, tmp_path))).id
    with pytest.raises(SystemExit):
        parse([str(wish.pictures), "--continue", "nowhere.safetensors", *told[2:]])


TINY = """
subject_type: object
steps: 4
checkpoint_steps: [2, 4]
warmup_steps: 1
batch_size: 2
rank: 2
learning_rate: 5e-4
resolution: 32
targets: attention
preview_steps: 2
guidance: 2
prompts:
- {text: a zorvex toy on grass, plain: a toy on grass, seeds: [1, 2]}
- {text: a zorvex toy at sea, plain: a toy at sea, seeds: [3, 4]}
- {text: a red cat on grass, plain: a red cat on grass, seeds: [5, 6], with_trigger: false}
trigger: zorvex
class_word: toy
"""
"""Seconds for the real child on a tiny base."""


async def test_a_changed_plan_or_other_pictures_are_an_order_of_their_own(
    wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = await train(wish, scripted(wish, tmp_path))
    planned = _planned(wish, wish.out / "plan.yaml", wish.out)
    with pytest.raises(LorasmithError, match="give another --out"):
        await train(planned, scripted(planned, tmp_path))
    same = _planned(wish, wish.out / "plan.yaml", tmp_path / "calm")
    again = await train(same, scripted(same, tmp_path))
    assert (again.id, again.plan, again.created_at.date()) == (first.id, first.plan, first.created_at.date())
    assert (await train(same, scripted(same, tmp_path))).id == first.id, "done again, it finds everything done"
    for n, (why, change) in enumerate((("plan was changed", "rank: 16"), ("pictures are others", ""))):
        out = tmp_path / f"other{n}"
        (out / ".lorasmith").mkdir(parents=True)
        text = (wish.out / "plan.yaml").read_text().replace(change or "\0", "rank: 17")
        (tmp_path / "changed.yaml").write_text(text)
        if not change:
            (wish.pictures / "1.png").unlink()
        other = _planned(wish, tmp_path / "changed.yaml", out)
        capsys.readouterr()
        view = await train(other, scripted(other, tmp_path))
        assert view.id != first.id
        assert view.plan is not None
        assert view.plan.rank == (17 if change else 16)
        assert why in capsys.readouterr().err


def _planned(wish: Wish, plan: Path, out: Path) -> Wish:
    return parse([str(wish.pictures), "--plan", str(plan), "--out", str(out)])[0]


def _teach(file: Path, migrated: Path) -> None:
    """An installation whose votes made plans for characters shorter."""
    shutil.copy(migrated, file)
    values = Learned(doses={("pocket", SubjectType.CHARACTER): Dose(steps=0.75)})
    database = Database(StorageSettings(data_dir=file.parent))
    with database.session() as session:
        session.add(Revision(number=3, because="ballot", outcomes=60, values_json=values.to_json()))
    database.close()


async def test_the_plan_of_an_order_and_of_a_folder_are_printed(
    wish: Wish, tmp_path: Path, migrated_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await train(wish, scripted(wish, tmp_path))
    capsys.readouterr()
    assert plans.main(["--order", view.id, "--out", str(wish.out)]) == 0
    assert capsys.readouterr().out == (wish.out / "plan.yaml").read_text() == view.plan_file
    assert plans.main(["--order", "zzzzzzzz", "--out", str(wish.out)]) == 1
    assert "no plan of an order zzzzzzzz" in capsys.readouterr().err
    asked = [str(wish.pictures), "--subject", "character", "--class-word", "cat"]
    assert await asyncio.to_thread(plans.main, [*asked, "--base", "flux2-klein-4b"]) == 1
    assert "too small" in capsys.readouterr().err
    assert await asyncio.to_thread(plans.main, [*asked, "--recipe", "small-set-1250"]) == 0
    found = read(capsys.readouterr().out.encode())
    assert found.fields["recipe"] == "small-set-1250-1/pocket/character"
    assert (found.origin, found.fields["steps"]) == (None, 1250)
    learned = [*asked, "--learned"]
    with pytest.raises(SystemExit):
        parse([*learned, "--out", "o", "--recipe", "small-set-1250"])
    assert "leave it out beside --plan or another --recipe" in capsys.readouterr().err
    monkeypatch.setenv("LORASMITH_DATA_DIR", str(tmp_path))
    assert await asyncio.to_thread(plans.main, learned) == 1
    assert "there is no database" in capsys.readouterr().err
    _teach(tmp_path / "lorasmith.db", migrated_file)
    assert await asyncio.to_thread(plans.main, learned) == 0
    taught = read(capsys.readouterr().out.encode())
    assert (taught.fields["recipe"], taught.fields["steps"]) == ("house-1+3/pocket/character", 120)
    assert parse([*learned, "--out", "o"])[0].lesson == Lesson(number=3, dose=Dose(steps=0.75), taste=None)
    (held_out,) = found.fields["held_out"]
    assert (wish.pictures / held_out).is_file(), "pictures are called by the names of their files"


@pytest.mark.parametrize(
    ("plan", "options", "answer"),
    [
        ("stepps: 9", ["--subject", "style"], "steps is near to it"),
        ("subject_type: style", ["--subject", "style"], "the plan file says subject_type already"),
        ("steps: 9", ["--subject", "style", "--steps", "3"], "leave out --steps or that line"),
        ("steps: 9", [], "the following arguments are required: --subject"),
        ("schedule: cosin", ["--subject", "style"], "cosine is near to it"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_on_the_command_line(
    plan: str, options: list[str], answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text(plan)
    with pytest.raises(SystemExit):
        parse([str(tmp_path), "--out", "o", "--plan", str(tmp_path / "p.yaml"), *options])
    assert answer in capsys.readouterr().err


async def test_a_plan_that_contradicts_itself_is_refused_by_field(wish: Wish, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("steps: 20\ncheckpoint_steps: [5, 10]\nheld_out: [1.pgn]\n")
    asked = parse(
        [str(wish.pictures), "--subject", "object", "--out", str(wish.out), "--plan", str(tmp_path / "p.yaml")]
    )[0]
    with pytest.raises(LorasmithError, match=r"held_out: there is no picture '1\.pgn'; 1\.png is near to it"):
        await train(asked, scripted(asked, tmp_path))
    (tmp_path / "p.yaml").write_text("steps: 20\ncheckpoint_steps: [5, 10]\n")
    asked = parse(
        [str(wish.pictures), "--subject", "object", "--out", str(wish.out), "--plan", str(tmp_path / "p.yaml")]
    )[0]
    with pytest.raises(LorasmithError, match="checkpoint_steps: the first is at least 1 and the last is the number"):
        await train(asked, scripted(asked, tmp_path))


async def test_captions_of_a_folder_reach_the_job_with_the_trigger(
    wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wish.pictures / "1.txt").write_text("with blue fur, on a chair")
    (wish.pictures / "2.txt").write_text("")
    await train(wish, scripted(wish, tmp_path))
    said = capsys.readouterr().err
    assert "1 of 6 pictures have words of their own" in said
    assert "The caption of 2.png is empty" in said
    assert "The caption of 1.png says fur" in said
    (job,) = (wish.out / ".lorasmith").glob("**/job.json")
    trigger = json.loads((wish.out / "result.json").read_text())["trigger"]
    captions = [p["caption"] for p in json.loads(job.read_text())["pictures"]]
    assert captions == ["", f"{trigger} cat, with blue fur, on a chair", "", "", "", ""]


async def test_several_subfolders_become_one_lora_with_several_triggers_and_are_made_again_by_its_plan(
    wish: Wish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The child is told the same, whatever the folders are called the second time: equal jobs are equal files."""
    root = tmp_path / "two"
    for folder, drawn in {"10_sks dog": drawn_pictures(9)[:5], "20_ohwx man": drawn_pictures(9)[5:]}.items():
        (root / folder).mkdir(parents=True)
        for n, picture in enumerate(drawn):
            picture.save(root / folder / f"{n}.png")
    (root / "20_ohwx man" / "1.txt").write_text("on grass")
    several = replace(wish, pictures=root, class_word="")
    left = script({"at": "train", "step": 3, "do": "depart"})
    view = await train(several, scripted(several, tmp_path, left))
    said = capsys.readouterr().err.replace("\n", " ")
    assert '"sks dog" calls one of them: 5 pictures, 33 % of all views.' in said, "4 of 12: one is held out"
    assert "Write in a prompt what you want to see: sks dog or ohwx man." in said
    result = json.loads((wish.out / "result.json").read_text())
    assert (result["trigger"], result["class_word"]) == ("sks", "dog")
    assert [(c["trigger"], c["class_word"], c["pictures"], c["repeats"]) for c in result["concepts"]] == [
        ("sks", "dog", 5, 1),
        ("ohwx", "man", 4, 2),
    ]
    assert "sks dog, ohwx man" in (wish.out / "page.html").read_text()
    told = _told(wish.out)
    assert [p["caption"] for p in told["pictures"]].count("ohwx man, on grass") == 1
    flat = tmp_path / "flat"
    flat.mkdir()
    for n, file in enumerate(sorted(root.rglob("*.png"), reverse=True)):
        shutil.copy(file, flat / f"{n}.png")
        if file.with_suffix(".txt").is_file():
            shutil.copy(file.with_suffix(".txt"), flat / f"{n}.txt")
    again = _planned(replace(wish, pictures=flat), wish.out / "plan.yaml", tmp_path / "calm")
    faster = scripted(again, tmp_path).model_copy(update={"threads": 2})
    made_again = await train(again, faster)
    assert made_again.id == view.id
    assert _told(again.out) == told, "also its fit, and where it left its plan"
    assert json.loads(told["fit"])["threads"] == 1
    assert [(d["step"], d["kind"]) for d in told["departures"]] == [(3, "learning_rate_halved")]
    assert (made_again.plan_file, made_again.departures) == (view.plan_file, view.departures)
    with pytest.raises(LorasmithError, match="leave out --trigger and --class-word"):
        await train(replace(several, trigger="zorvex"), scripted(several, tmp_path))
    (root / "20_ohwx man" / "0.png").unlink()
    with pytest.raises(LorasmithError, match="ohwx man: 3 usable pictures are too few"):
        await train(several, scripted(several, tmp_path))


def _told(out: Path) -> dict[str, Any]:
    """The job, without where its weights lie."""
    (job,) = (out / ".lorasmith").glob("**/job.json")
    told: dict[str, Any] = json.loads(job.read_text())
    return {name: value for name, value in told.items() if name != "base"}


async def test_the_same_command_goes_on_where_it_was_stopped_and_then_finds_all_done(
    wish: Wish, tmp_path: Path
) -> None:
    slow = scripted(wish, tmp_path, step_s=0.3)
    running = asyncio.create_task(train(wish, slow))
    while not (  # noqa: ASYNC110  # nothing in the product announces it
        slow.work.is_dir() and list(slow.work.glob("*/state/2/state.json"))
    ):
        await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    view = await train(wish, scripted(wish, tmp_path))
    assert view.stage == "delivered"
    lora = (wish.out / json.loads((wish.out / "result.json").read_text())["lora"]).read_bytes()
    again = await train(wish, scripted(wish, tmp_path))
    assert again.id == view.id
    calm = replace(wish, out=tmp_path / "calm")
    undisturbed = await train(calm, scripted(calm, tmp_path))
    assert undisturbed.id == view.id, "the same pictures and words are the same order"
    assert (calm.out / json.loads((calm.out / "result.json").read_text())["lora"]).read_bytes() == lora


async def test_any_checkpoint_can_be_had_later_with_the_same_command(wish: Wish, tmp_path: Path) -> None:
    settings = scripted(wish, tmp_path)
    view = await train(wish, settings)
    assert not (wish.out / "checkpoints").exists()
    step = view.checkpoints[1].step
    await train(replace(wish, checkpoints=(step,)), settings)
    file = wish.out / "checkpoints" / f"step-{step}.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == view.checkpoints[1].lora_sha256
    with pytest.raises(LorasmithError, match=r"there is no checkpoint 3; there are 2, 4, 6, 8, 10"):
        await train(replace(wish, checkpoints=(3,)), settings)


async def test_a_failed_order_says_whose_fault_it_was_and_the_same_command_tries_again(
    wish: Wish, tmp_path: Path
) -> None:
    rules = script({"at": "train", "step": 3, "do": "fail pictures never"})
    with pytest.raises(LorasmithError, match="The pictures are the reason"):
        await train(wish, scripted(wish, tmp_path, rules))
    assert (await train(wish, scripted(wish, tmp_path, rules))).stage == "delivered"


async def test_too_few_pictures_are_refused_with_what_to_do(wish: Wish, tmp_path: Path) -> None:
    for n in (1, 2, 3):
        (wish.pictures / f"{n}.png").unlink()
    with pytest.raises(LorasmithError, match="at least 4 are needed"):
        await train(wish, scripted(wish, tmp_path))


async def test_two_commands_on_one_folder_do_not_meet(wish: Wish, tmp_path: Path) -> None:
    running = asyncio.create_task(train(wish, scripted(wish, tmp_path, step_s=0.2)))
    await asyncio.sleep(0.5)
    with pytest.raises(LorasmithError, match="another lorasmith is at work"):
        await train(wish, scripted(wish, tmp_path))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_base_that_is_not_here_is_refused_with_the_command_that_fetches_it(
    wish: Wish, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    given = [str(wish.pictures), "--subject", "style", "--out", str(wish.out), "--base", "sdxl"]
    assert main(given) == 1
    assert "lorasmith fetch sdxl (about 7 GB)" in capsys.readouterr().err.replace("\n", " ")


async def test_a_base_that_needs_a_gpu_is_refused_without_one_before_any_picture_is_read(
    wish: Wish, tmp_path: Path
) -> None:
    asked = replace(wish, base="sdxl")
    with pytest.raises(LorasmithError, match="sdxl cannot be trained without one"):
        await train(asked, scripted(asked, tmp_path, bases=("sdxl",)))
    assert not list((asked.out / ".lorasmith").glob("artifacts/orders/*"))


async def test_a_plan_that_no_fit_is_known_for_is_refused_before_it_is_queued_and_a_smaller_one_is_not(
    wish: Wish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.worker.main_memory_gib", lambda: None)
    ready = json.dumps({"device": "RTX 2060", "kind": "cuda", "memory_gib": 6.0})
    for n, picture in enumerate(drawn_pictures(6, 300)):
        picture.save(wish.pictures / f"{n}.png")
    asked = replace(wish, base="flux1-dev", keep=tuple(f"{n}.png" for n in range(6)))
    settings = scripted(asked, tmp_path, bases=("flux1-dev",), device="cuda", ready=ready)
    with pytest.raises(LorasmithError, match=r"does not fit on this GPU, which has 6 GiB.*768 px instead of 1024"):
        await train(asked, settings)
    assert stage_of(asked) == "draft"
    smaller = replace(asked, plan=read(b"base: flux1-dev\nresolution: 768\nsteps: 10\n"))
    assert (await train(smaller, settings)).stage == "delivered"


def stage_of(wish: Wish) -> str:
    """Of the newest order in its folder."""
    with sqlite3.connect(wish.out / ".lorasmith" / "lorasmith.db") as connection:
        (stage,) = connection.execute("SELECT stage FROM orders ORDER BY created_at DESC").fetchone()
    return str(stage)


def test_words_of_the_command_line_are_cleaned() -> None:
    wish, as_json = parse(["pics", "--subject", "object", "--out", "o", "--name", "@everyone **x**", "--json"])
    assert (wish.name, wish.class_word, wish.trigger, as_json) == ("everyone x", "", None, True)
    with pytest.raises(SystemExit):
        parse(["pics", "--subject", "object", "--out", "o", "--steps", "0"])


def test_the_real_child_trains_a_lora_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command with torch, on a base of random weights: nothing is learned, everything is run."""
    base = tiny_base(tmp_path / "base")
    folder = tmp_path / "toys"
    folder.mkdir()
    for n, picture in enumerate(drawn_pictures(6)):
        picture.save(folder / f"{n}.png")
    (folder / "1.txt").write_text("on a blue table")
    out = tmp_path / "out"
    for name, value in {"BASE_POCKET": str(base), "THREADS": "1", "NICE": "0"}.items():
        monkeypatch.setenv(f"LORASMITH_{name}", value)
    plan = tmp_path / "plan.yaml"
    plan.write_text(TINY)
    capsys.readouterr()
    code = main([str(folder), "--plan", str(plan), "--out", str(out), "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    result = json.loads(said.out)
    assert result["stage"] == "delivered"
    assert result["chosen_step"] in (2, 4)
    assert all(c["likeness"] is not None for c in result["checkpoints"])
    assert result["checkpoints"][-1]["validation_ratio"] is not None, "one of six pictures is kept aside"
    assert 0.4 <= result["recommended_scale"] <= 1.2
    header = read_header(Path(result["lora"]))
    assert header.metadata["ss_output_name"]
    assert json.loads(Path(result["sidecar"]).read_text())["preferred weight"] == result["recommended_scale"]
    assert set(result["files"]) == {"lora", "sidecar", "preview", "strip"}
    _is_made_again_to_the_byte(out, folder, tmp_path, monkeypatch, capsys)


def _is_made_again_to_the_byte(
    out: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the plan that the order left, from the same pictures under other names: the order's own id, day and files."""
    others = tmp_path / "elsewhere"
    others.mkdir()
    for file in folder.iterdir():
        shutil.copy(file, others / f"{9 - int(file.stem)}{file.suffix}")
    monkeypatch.setenv("LORASMITH_THREADS", "2")  # by one thread all the same: others sum in another order
    assert main([str(others), "--plan", str(out / "plan.yaml"), "--out", str(tmp_path / "again")]) == 0
    assert "order of its own" not in capsys.readouterr().err
    first, again = (json.loads((place / "result.json").read_text()) for place in (out, tmp_path / "again"))
    assert (again["order"], again["plan"], again["fit"]) == (first["order"], first["plan"], first["fit"])
    assert [c["lora_sha256"] for c in again["checkpoints"]] == [c["lora_sha256"] for c in first["checkpoints"]]
    for role in ("lora", "sidecar"):
        assert Path(again[role]).name == Path(first[role]).name
        assert Path(again[role]).read_bytes() == Path(first[role]).read_bytes(), role
