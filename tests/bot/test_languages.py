"""What Discord allows, in every language: titles, labels, choices, buttons, descriptions, messages with the longest values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, cast

import discord
import pytest
import sqlalchemy as sa
from discord import app_commands
from sqlmodel import Session

from bot import (
    modals,
    wording,
    wording_captions,
    wording_delivery,
    wording_doctor,
    wording_forms,
    wording_order,
    wording_plan,
    wording_settings,
    wording_stopping,
)
from bot.captioning import captions_modal
from bot.commands import Commands
from bot.languages import AS_DISCORD, CommandWords, Languages, choose_for_server, note_locale, public_language
from bot.moderation import Moderation
from bot.presses import Presses
from bot.registration import form_of
from storage.domain.choice import Because, Choice
from storage.domain.errors import Fault, OrderFault, PictureFault
from storage.domain.measurement import Flag, Measurement, ScaleChoice, ScalePoint
from storage.domain.orders import SubjectType
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.signs import Sign, SignKind
from storage.speech import LANGUAGES, Sentence, speaking
from storage.tables import Community
from storage.usage import how_to_use, licence_of

BUTTON, TITLE, CHOICE, ABOUT, MESSAGE = 80, 45, 100, 100, 2000
"""Characters of a button, of a form's title and label, of a choice, of a description, of a message.
https://docs.discord.com/developers/components/reference"""
NAME = "\\_" * 40
LONG = "W" * 40
MODULES: tuple[ModuleType, ...] = (wording, wording_captions, wording_doctor, wording_order, wording_plan)
MODULES += (wording_delivery, wording_forms, wording_stopping)
BUTTONS = (
    "START",
    "ADD_PICTURES",
    "CAPTIONS",
    "KEEP_ALL",
    "CANCEL",
    "AGREE",
    "TAKE_THIS",
    "TAKE_NOW",
    "FINISH",
    "RETRY",
)
BUTTONS += ("DOWNLOAD", "WHOLE_ORDER", "GO_ON", "FULL_RUN", "MAY_END_EARLY")


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    with speaking(request.param):
        yield request.param


def test_buttons_and_forms_keep_discords_limits(language: str) -> None:
    said = {n: getattr(m, n)() for m in MODULES for n in BUTTONS if isinstance(getattr(m, n, None), Sentence)}
    assert sorted(said) == sorted(BUTTONS)
    assert [text for text in (*said.values(), wording_doctor.leave_out_label(40)) if len(text) > BUTTON] == []
    about = [modals.about_modal("o", kind) for kind in SubjectType]
    forms = [modals.train_modal(None, "", ""), modals.add_modal("o"), captions_modal("o", "x" * 9000), *about]
    for form in forms:
        assert len(form.title) <= TITLE
        for label in (part for part in form.children if isinstance(part, discord.ui.Label)):
            assert 0 < len(label.text) <= TITLE
            assert len(label.description or "") <= ABOUT, label.description
    assert len(wording_doctor.ASIDE_PLACEHOLDER()) <= CHOICE
    assert all(len(words()) <= CHOICE for words in wording_plan.SUBJECT_WORDS.values())


def test_short_answers_and_refusals_fit_a_message(language: str) -> None:
    constants = [value() for m in MODULES for value in vars(m).values() if isinstance(value, Sentence)]
    said = [
        *(text for text in constants if "{" not in text),
        *(wording.order_refused(fault, "3 of at least 4") for fault in OrderFault),
        *(wording.picture_refused(NAME, fault.value, LONG) for fault in PictureFault),
        wording.permissions_missing(list(wording.PERMISSION_WORDS)),
        wording.removed(NAME, "r" * 400, 40),
        wording.cancelled(NAME, by="system", reason="its owner left the server"),
        wording_settings.channel_settings(["9" * 19] * 50),
        wording_settings.consent_settings("c" * 400),
        *(wording_order.failure(name=NAME, fault=fault.value, reason="r" * 500, retry=True) for fault in Fault),
    ]
    assert [text for text in said if not text or len(text) > MESSAGE] == []


def test_a_delivery_card_with_everything_loses_nothing(language: str) -> None:
    measured = measurement(flags=(Flag.MEMORISED, Flag.LEAKS))
    card = wording_delivery.DeliveryCard(
        owner_id="9" * 19,
        name=LONG,
        trigger="zorvexzorvex",
        choice=choice(),
        scale=ScaleChoice(recommended=0.85, low=0.7, high=1.0, measured=True, points=[point()] * 9),
        measurement=measured,
        prompts=["a photo of zorvexzorvex toy on a wooden table in the morning light"] * 3,
        how=how_to_use(
            base="flux1-dev", stem=LONG, trigger="zorvex", class_word="toy", scale=0.85, subject_type="object"
        ),
        way="compact",
        file_bytes=80_000_000,
        compact_loss=0.034,
        licence=licence_of("flux1-dev"),
        shared="https://huggingface.co/" + "n" * 60,
    )
    text = wording_delivery.card(card)
    assert len(text) <= MESSAGE
    assert text.endswith(">" if language != "he" else ">\u2069"), "the last line is there"


def test_a_grids_words_with_every_sign_and_flag_fit(language: str) -> None:
    signs = [Sign(kind=kind, step=2800, value=0.98) for kind in SignKind]
    flags = (Flag.VALIDATION_VETO, Flag.MEMORISED, Flag.LEAKS)
    text = wording_order.grid_caption(
        step=2800, steps=2800, number=10, of=10, measurement=measurement(flags=flags), signs=signs
    )
    assert len(text) <= MESSAGE
    assert wording_order.VOTE_EMOJI in text.splitlines()[-1]
    rows = [wording_order.SheetRow(emoji="\U0001f51f", step=2800, votes=12, measurement=measurement())] * 10
    sheet = wording_order.sheet(name=NAME, rows=rows, deadline=datetime(2026, 1, 1, tzinfo=UTC))
    assert "<t:" in sheet.splitlines()[-1]


def test_a_plan_card_with_everything_fits_its_embed(language: str) -> None:
    plan = plan_for(
        base="sdxl",
        subject_type=SubjectType.CHARACTER,
        class_word="toy",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(40)],
    )
    faults = [fault.value for fault in PictureFault if fault is not PictureFault.ONE_TOO_MANY]
    card = wording_plan.PlanCard(
        name=LONG, subject_type=SubjectType.CHARACTER, class_word=LONG, trigger="zorvex", base="flux1-dev", kept=40,
        refused=[wording_plan.Refused(name=LONG, fault=fault, detail=LONG) for fault in faults],
        fetching=3, plan=plan, way="download", file_bytes=400_000_000, limit_bytes=10_485_760, ballot_s=43_200,
        prospect=wording_plan.Prospect(place=12, wait_s=9e4, work_s=9e4, measured=False, paused=True),
        expires_at=datetime(2026, 1, 1, tzinfo=UTC), hub="n" * 60, captions="c" * 100,
    )  # fmt: skip
    said = wording_plan.text(card)
    assert len(said) <= wording.EMBED_LIMIT
    assert "<t:" in said.splitlines()[-1], "the last line is there"
    assert len(wording_plan.title(replace(card, name=NAME))) <= 256
    assert len(wording_plan.consent("c" * 400)) <= MESSAGE


async def test_commands_are_described_in_every_language_that_discord_has() -> None:
    tree = await _tree()
    forms: list[dict[str, Any]] = [
        await c.get_translated_payload(tree, cast(app_commands.Translator, tree.translator))
        for kind in (discord.AppCommandType.chat_input, discord.AppCommandType.message)
        for c in tree.get_commands(type=kind)
    ]
    parts = [part for form in forms for part in _parts(form)]
    described = [part for part in parts if part.get("description")]
    assert described
    for part in described:
        told = part.get("description_localizations", {})
        assert set(told) == {"fr", "vi"}, part
        assert all(0 < len(text) <= ABOUT for text in (part["description"], *told.values())), told
    names = {(part["name"], *sorted(part.get("name_localizations") or {})) for part in parts}
    assert ("Train from these pictures", "fr", "vi") in names
    assert ("a person", "fr", "vi") in names
    assert ("train",) in names, "people tell each other to type /train"
    longest = max(sum(_longest(part) for part in _parts(form)) for form in forms)
    assert longest <= 8000


async def test_a_new_translation_makes_the_commands_known_anew() -> None:
    tree = await _tree()
    before = await form_of(tree)
    await tree.set_translator(None)
    assert await form_of(tree) != before


def test_the_language_of_a_server_is_noted_before_it_is_used_there() -> None:
    engine = sa.create_engine("sqlite://")
    cast(sa.Table, Community.__table__).create(engine)  # type: ignore[attr-defined]  # SQLModel does not declare it
    with Session(engine) as session:
        for locale in ("fr", "vi"):
            note_locale(session, "7", locale)
            assert public_language(session.get(Community, "7")) == locale
        assert "français" in choose_for_server(session, "7", "fr")
        assert "Tiếng Việt" in choose_for_server(session, "7", AS_DISCORD)


async def test_a_choice_that_could_not_be_written_down_is_none() -> None:
    languages = Languages()
    with pytest.raises(ConnectionError):
        await languages.choose(cast(Any, _Gone()), "7", "1", "fr")
    assert languages.chosen == {}


class _Gone:
    """A database that went away."""

    async def transact(self, *_given: object) -> None:
        raise ConnectionError


async def _tree() -> app_commands.CommandTree[Any]:
    tree: app_commands.CommandTree[Any] = app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    nothing = cast(Any, _Nothing())
    Commands(nothing, nothing, nothing, nothing, Moderation(nothing, nothing, Languages())).register(tree, Presses())
    await tree.set_translator(CommandWords())
    return tree


class _Nothing:
    """No command is run here."""

    async def queue(self, _interaction: Any) -> None: ...

    async def status(self, _interaction: Any) -> None: ...

    async def cancellable(self, _interaction: Any, _typed: str) -> list[Any]:
        return []


def _parts(form: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield form
    for part in (*form.get("options", ()), *form.get("choices", ())):
        yield from _parts(part)


def _longest(part: dict[str, Any]) -> int:
    """Discord counts the longest of a text's translations.
    https://docs.discord.com/developers/interactions/application-commands
    """
    said = [
        [part[key], *(part.get(f"{key}_localizations") or {}).values()]
        for key in ("name", "description")
        if key in part
    ]
    return sum(max(map(len, texts)) for texts in said) + len(str(part.get("value", "")))


def measurement(**given: Any) -> Measurement:
    values: dict[str, Any] = {
        "validation_ratio": 0.9, "training_ratio": 0.8, "likeness": 0.7, "adherence": 0.95, "variety": 0.9, "leakage": 0.1,
        "memorisation": 0.3, "utility": 0.6, "utilities": (0.6, 0.62), "flags": (), "seconds": 1.0,
    }  # fmt: skip
    return Measurement(**{**values, **given})


def choice() -> Choice:
    return Choice(
        step=2400, because=Because.VOTES_AND_MEASUREMENT, votes=12, runner_up_votes=13, measured_best=2400, pseudo_votes=1.5,
        share=0.7,
    )  # fmt: skip


def point() -> ScalePoint:
    return ScalePoint(scale=1.0, likeness=0.5, adherence=0.9, leakage=0.1, utility=0.5)
