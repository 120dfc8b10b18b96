"""What members read: nothing typed by a person pings, formats, links or breaks a message, and every fault has its sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import wording, wording_captions, wording_delivery, wording_order, wording_plan
from bot.wording import escape
from storage.captions import CaptionsRefused, Written, of_lines, of_metadata, refuse_strangers
from storage.domain.bases import BASES
from storage.domain.choice import Because, Choice
from storage.domain.errors import Fault, OrderFault, PictureFault
from storage.domain.lesson import Dose, Lesson, taught
from storage.domain.lifecycle import Stage
from storage.domain.orders import SubjectType
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.signs import Sign, SignKind
from storage.speech import speaking
from storage.usage import Use
from storage.words import duration

ANYTHING = st.text(st.characters(codec=None), max_size=300) | st.text(
    "@<>#&!*_~`|\\[]()/: 1.-\nehrvyon\u200b\u202e", max_size=200
)
MARKUP = "\\*_~`|<>[]@/"

PLAN = plan_for(
    base="pocket",
    subject_type=SubjectType.OBJECT,
    class_word="toy",
    trigger="zorvex",
    seed=7,
    pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(8)],
)
CARD = wording_plan.PlanCard(
    name="blue cat",
    subject_type=SubjectType.OBJECT,
    class_word="toy",
    trigger="zorvex",
    base="pocket",
    kept=8,
    refused=[],
    fetching=0,
    plan=PLAN,
    prospect=wording_plan.Prospect(place=2, wait_s=90, work_s=200, measured=True),
    way="attach",
    file_bytes=1_900_000,
    limit_bytes=10 * 1024 * 1024,
    ballot_s=12 * 3600,
    expires_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def unescaped(text: str) -> str:
    """What Discord would still take for markup: the text without its escaped characters."""
    return re.sub(r"\\(.)", "", text, flags=re.DOTALL)


@given(ANYTHING)
@settings(max_examples=400)
@example("@everyone <@123> <#5> <@&7> https://evil.example discord.gg/abc ||spoiler|| `code` **bold** [a](http://b)")
@example("# heading")
@example("1. list")
@example("\ud800 lone surrogate")
def test_what_a_person_typed_cannot_ping_format_or_link(text: str) -> None:
    safe = escape(text, 120)
    safe.encode("utf-8")
    assert "\n" not in safe
    assert "\r" not in safe
    assert not any(c in MARKUP for c in unescaped(safe))
    assert not re.search(r"@(everyone|here|!?\d|&\d)|<[@#:t/a]|https?://|discord\.gg/", safe, re.IGNORECASE)
    assert not re.match(r"\s*(#|-#|- |\+ |\d+\. )", safe)


@given(ANYTHING, st.integers(0, 120))
def test_an_escaped_text_keeps_its_limit_and_never_ends_in_half_an_escape(text: str, limit: int) -> None:
    safe = escape(text, limit)
    assert len(safe) + sum(ord(c) > 0xFFFF for c in safe) <= limit
    assert not re.search(r"(?<!\\)(\\\\)*\\$", safe)


def test_an_ordinary_name_is_left_as_it_is() -> None:
    assert escape("Müller's cat, the 2nd (blue)! 猫 photo-1.png") == "Müller's cat, the 2nd (blue)! 猫 photo-1.png"


@given(st.text(max_size=6000))
def test_a_whole_message_is_cut_to_what_discord_takes(text: str) -> None:
    assert len(wording.clip(text)) <= 2000


@pytest.mark.parametrize("fault", list(OrderFault))
def test_every_order_fault_has_a_sentence(fault: OrderFault) -> None:
    said = wording.order_refused(fault)
    assert said.endswith(".")
    assert "_" not in said


def test_a_twin_is_named_with_its_other() -> None:
    said = wording.picture_refused("b.png", PictureFault.DUPLICATE.value, "a.png")
    assert "the same picture as a.png" in said


def test_a_plan_card_with_forty_refused_pictures_of_hostile_names_stays_within_an_embed() -> None:
    hostile = [
        wording_plan.Refused(name="@everyone*" * 20, fault=fault.value, detail="`x`" * 60)
        for fault in list(PictureFault) * 4
    ]
    card = replace(CARD, name="*" * 300, refused=hostile, fetching=3, class_word="@here" * 20)
    assert len(wording_plan.text(card)) <= 4096
    assert len(wording_plan.title(card)) <= 256
    assert "@everyone" not in wording_plan.text(card)
    assert f"and {len(hostile) - 3 - 12} more" in wording_plan.text(card), "four that found no place are one line"


def test_the_plan_card_says_all_that_a_member_needs_before_start() -> None:
    said = wording_plan.text(CARD)
    for word in ("zorvex", "pocket", "8 pictures taken", f"{PLAN.steps} small steps", "because", "number 2 in line"):
        assert word in said
    assert "about 4 min" in said
    assert "will be attached" in said


def test_the_plan_card_names_the_full_run_only_while_it_has_that_button() -> None:
    draft = replace(CARD, plan=replace(PLAN, early_stop=True))
    assert "press **Full run**" in wording_plan.text(draft)
    started = wording_plan.text(replace(draft, state="started"))
    assert "Training may end early" in started
    assert "Full run" not in started


@pytest.mark.parametrize(("way", "word"), [("attach", "attached"), ("download", "Download"), ("compact", "compact")])
def test_the_plan_card_says_how_the_file_comes(way: str, word: str) -> None:
    assert word in wording_plan.text(replace(CARD, way=way, file_bytes=90 * 1024 * 1024))


def test_a_draft_with_too_few_pictures_says_how_many_are_missing() -> None:
    said = wording_plan.text(replace(CARD, kept=3, plan=None, prospect=None))
    assert "1 picture more needed" in said


def test_a_paused_or_absent_machine_is_said_on_the_card() -> None:
    ahead = wording_plan.Prospect(place=1, wait_s=0, work_s=100, measured=False, paused=True, workers=0)
    assert "paused" in wording_plan.text(replace(CARD, prospect=ahead))
    assert "No machine" in wording_plan.text(replace(CARD, prospect=replace(ahead, paused=False)))
    assert "a guess" in wording_plan.text(replace(CARD, prospect=ahead))


@pytest.mark.parametrize("subject", list(SubjectType))
def test_every_subject_type_has_its_reason(subject: SubjectType) -> None:
    assert wording_plan.SUBJECT_WORDS[subject]() in wording_plan.text(replace(CARD, subject_type=subject))


def test_consent_is_the_servers_own_line_or_the_standard_one() -> None:
    assert wording_plan.STANDARD_CONSENT() in wording_plan.consent("")
    own = wording_plan.consent("I swear @everyone")
    assert "I swear" in own
    assert "@everyone" not in own


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_can_be_listed(stage: Stage) -> None:
    assert "4k7m2p9x" in wording.order_line("blue cat", "4k7m2p9x", stage.value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (61, "2 min"), (3600, "1 h"), (5400, "1 h 30 min"), (43200, "12 h")],
)
def test_durations_are_words_rounded_up(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize("fault", list(Fault))
def test_a_failure_says_whose_fault_it_was_and_what_to_do(fault: Fault) -> None:
    said = wording_order.failure(name="blue cat", fault=fault.value, reason="@here it broke", retry=True)
    assert wording_order.fault_words(fault.value) in said
    assert "@here" not in said


def test_a_stall_is_said() -> None:
    said = wording_order.progress(
        name="blue cat", doing="training", step=5, steps=100, seconds_left=30, loss_ratio=0.8, silent_s=180
    )
    assert "heard nothing" in said
    assert "step 5 of 100" in said


def test_nobody_is_not_counted_as_a_vote_for_the_next_one() -> None:
    choice = Choice(step=80, because=Because.VOTES, measured_best=80, votes=1, runner_up_votes=0)
    assert "1 person voted for it, nobody for another." in wording_order.closed(name="cat", choice=choice)


def test_what_is_pasted_is_code_and_what_is_read_is_not() -> None:
    card = wording_delivery.DeliveryCard(
        owner_id=None,
        name="cat",
        trigger="zor",
        choice=Choice(step=80, because=Because.VOTES, measured_best=80, votes=1, runner_up_votes=0),
        scale=None,
        measurement=None,
        prompts=[],
        how=[Use(tool="Forge", say="put it there and write", code="<lora:cat:0.90> zor `cat`")],
        way="attach",
        file_bytes=1,
    )
    assert "- Forge: put it there and write `<lora:cat:0.90> zor 'cat'`" in wording_delivery.card(card)


def test_the_choice_says_why() -> None:
    choice = Choice(step=80, because=Because.VOTES, measured_best=60, votes=3, runner_up_votes=1)
    said = wording_order.closed(name="blue cat", choice=choice)
    assert "step 80" in said
    assert "3 people" in said


def test_the_choice_says_as_how_many_votes_measurement_counted() -> None:
    against = Choice(
        step=80, because=Because.VOTES, measured_best=60, votes=3, runner_up_votes=1, pseudo_votes=1.0, share=0.02
    )
    said = wording_order.closed(name="cat", choice=against)
    assert "By measurement alone it would have been step 60, which counts as 1 vote; votes decide." in said
    outweighed = replace(
        against, because=Because.VOTES_AND_MEASUREMENT, votes=1, runner_up_votes=2, pseudo_votes=2.5, share=0.9
    )
    said = wording_order.closed(name="cat", choice=outweighed)
    assert "1 person voted for it and 2 for another, but what was measured counts as 2.5 votes, 2.2 of them for" in said
    nothing = replace(against, because=Because.LAST, measured_best=None, votes=2, runner_up_votes=2, pseudo_votes=0.0)
    assert "Several checkpoints had 2 people each and nothing could be measured" in wording_order.closed(
        name="cat", choice=nothing
    )


def test_the_plan_card_says_where_votes_changed_the_recipe() -> None:
    lesson = Lesson(number=17, dose=Dose(steps=0.9), taste=None)
    changed = replace(CARD, plan=taught(PLAN, lesson))
    assert "Votes on earlier orders changed this recipe (revision 17" in wording_plan.text(changed)
    assert "`house-1+17/" in wording_plan.text(changed)
    assert "Votes on earlier orders" not in wording_plan.text(CARD)


@pytest.mark.parametrize(
    ("base", "warned"), [("flux1-dev", True), ("flux2-klein-9b", True), ("sdxl", False), ("z-image", False)]
)
def test_members_read_before_start_where_a_base_is_not_for_commercial_use(base: str, warned: bool) -> None:  # noqa: FBT001
    said = wording_plan.text(replace(CARD, base=base))
    assert ("Not for commercial use" in said) is warned
    assert BASES[base].title in said
    assert (BASES[base].licence.url in said) is warned


def test_warning_signs_stand_in_the_status_and_over_the_grid_where_they_were_seen() -> None:
    sign = Sign(kind=SignKind.BLUR, step=64, value=0.31)
    status = wording_order.progress(
        name="cat", doing="training", step=70, steps=160, seconds_left=9.0, loss_ratio=0.9, signs=[sign]
    )
    grid = wording_order.grid_caption(step=64, steps=160, number=2, of=5, measurement=None, signs=[sign])
    for said in (status, grid):
        assert "Careful. Step 64: its pictures are blurred: 31 % as sharp as the base model's" in said


def test_members_read_before_start_where_a_lora_is_also_put_on_a_hub() -> None:
    assert "model hub" not in wording_plan.text(CARD)
    said = wording_plan.text(replace(CARD, hub="ann"))
    assert "on a model hub (ann), in private; your pictures never are" in said
    assert "for everybody to see" in wording_plan.text(replace(CARD, hub="ann", hub_public=True))


def test_captions_that_are_refused_keep_our_isolates_and_lose_a_persons_signs() -> None:
    """The sentence is ours: only what was typed into it is made safe."""
    name = "@here \u2069\u202e**x**.jsonl"
    for raw in (b"{", b"\xff", b"\0", b'{"text": 1}', b'{"file_name": "a/@b"}', b'{"file_name": "@b"}'):
        said = _refused(of_metadata, raw, name, escape)
        assert unescaped(said).count("\u2068") == unescaped(said).count("\u2069") > 1, said
        assert "\u202e" not in said
        assert not set("@*/") & set(unescaped(said)), said
    twice = b'{"file_name": "@b", "text": "x"}\n' * 2
    assert not set("@*/") & set(unescaped(_refused(of_metadata, twice, name, escape)))
    for lines in ("#1: x\n#1: y", "hello"):
        assert not set("@*/") & set(unescaped(_refused(of_lines, lines, ["@a**.jpg"], escape)))
    stranger = Written(captions={"@a**.jpf": "x"})
    said = _refused(refuse_strangers, stranger, ["@a**.jpg"], name, escape)
    assert "קרוב" in said, "the stranger's sentence is translated"
    assert not set("@*/") & set(unescaped(said))


def _refused(read: Callable[..., object], *given: object) -> str:
    with speaking("he"), pytest.raises(CaptionsRefused) as refused:
        read(*given)
    with speaking("he"):
        return wording_captions.captions_refused(str(refused.value))


def test_a_moderators_own_reason_stays_as_it_was_typed_and_ours_is_translated() -> None:
    ours = "its owner left the server"
    with speaking("fr"):
        assert ours not in wording.cancelled("x", by="system", reason=ours)
        assert ours in wording.cancelled("x", by="moderator", reason=ours)
        assert ours in wording.removed("x", ours)
        assert "@\u200b" in wording.cancelled("x", by="moderator", reason="@here")
