"""The bot is killed or restarted in the middle: drafts go on, cards are posted once, forms and buttons still work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from bot.loopback.member import Answer, SeenMessage
from storage.domain.lifecycle import Stage
from tests.bot.living import House, drafted, house, order_of, photos


async def killed_at(home: House, gap: str, mark: Path) -> None:
    """Run the bot as its own process until it kills itself at the gap; meanwhile Ada sends four pictures."""
    settings = home.settings
    environment = {
        "PATH": os.environ["PATH"],
        "LORASMITH_TOKEN": settings.token.get_secret_value(),
        "LORASMITH_DISCORD_URL": settings.discord_url,
        "LORASMITH_DATA_DIR": str(settings.data_dir),
        "LORASMITH_WEB_PORT": "0",
        "LORASMITH_POLL_S": "0.1",
        "LORASMITH_LOG_FORMAT": "json",
        "LORASMITH_FAULT": f"{gap}:1",
        "LORASMITH_FAULT_MARK": str(mark),
    }
    log = (settings.data_dir / "bot.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", env=environment, cwd=Path(__file__).parents[2], stderr=log
    )
    try:
        async with asyncio.timeout(40):
            while not home.known_everywhere():
                assert process.returncode is None, (settings.data_dir / "bot.log").read_text()
                await asyncio.sleep(0.05)
            await sent(home)
            assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        log.close()
    assert mark.exists()
    text = (settings.data_dir / "bot.log").read_text()
    assert settings.token.get_secret_value() not in text
    said = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert any("to invite the bot" in line["says"] for line in said)


async def sent(home: House) -> Answer:
    files = {f"image{n + 1}": f for n, f in enumerate(photos(4))}
    return await home.people["Ada"].slash(
        "train", channel=home.channel(), options={"subject": "object"}, files=files, timeout_s=15
    )


async def cards_of(home: House, order_id: str) -> int:
    return sum(f"{order_id}-plan" in m.text() for m in await home.director.messages(home.channel()))


async def test_a_kill_between_acknowledgement_and_download_resumes_the_draft(tmp_path: Path) -> None:
    """And what cannot be fetched any more is refused by name."""
    async with house(tmp_path / "data", start=False) as home:
        (tmp_path / "data").mkdir()
        await killed_at(home, "ack-download", tmp_path / "mark")
        order = await home.newest()
        assert [p.state for p in await home.pictures(order.id)] == ["linked"] * 4
        assert await cards_of(home, order.id) == 0
        await home.director.direct("fault", route="GET cdn", status=404, times=1)
        await home.start()
        card = await home.card("Ada", order.id, "3 pictures taken, 1 not used")
        assert "is gone: Discord's link to it has run out" in card.text()
        assert not any(m.thinking for m in await home.director.messages(home.channel()))


async def test_a_card_that_was_posted_but_not_written_down_is_found_again(tmp_path: Path) -> None:
    async with house(tmp_path / "data", start=False) as home:
        (tmp_path / "data").mkdir()
        await killed_at(home, "post-record", tmp_path / "mark")
        order = await home.newest()
        assert await cards_of(home, order.id) == 1
        await home.director.direct("advance", seconds=600)  # Discord has forgotten the nonce by now
        await home.start()
        card = await home.card("Ada", order.id)
        await home.reply(home.people["Ada"], await home.people["Ada"].click(card, "Start"), "Started")
        assert await cards_of(home, order.id) == 1


async def test_forms_and_buttons_from_before_a_restart_still_work(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        ada = home.people["Ada"]
        order, card = await drafted(home, "Ada")
        form = await ada.slash("train", channel=home.channel(), options={"name": "Later", "subject": "style"})
        more = await ada.click(card, "Add pictures")
        await home.stop()
        await home.start()
        answer = await ada.submit_modal(form, {"subject": "style", "pictures1": photos(5, 100)})
        later = await home.wait_for_order(str(answer.interaction_id))
        assert (later.name, later.subject_type) == ("Later", "style")
        await home.card("Ada", later.id, "5 pictures taken")
        await ada.submit_modal(more, {"pictures1": photos(2, 200)})
        card = await home.card("Ada", order.id, "6 pictures taken")
        await home.reply(ada, await ada.click(card, "Start"), "Started")
        assert (await order_of(home, order.id)).stage == Stage.QUEUED


async def test_a_server_that_removed_the_bot_while_it_was_away_loses_its_waiting_orders(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        finn = home.people["Finn"]
        order, card = await drafted(home, "Finn", place="studio")
        await home.reply(finn, await finn.click(card, "Start"), "Started")
        await home.stop()
        await home.director.direct("kick", guild_id=order.community_id)
        await home.start()
        async with asyncio.timeout(15):
            while (await order_of(home, order.id)).stage != Stage.CANCELLED:  # noqa: ASYNC110  # from outside
                await asyncio.sleep(0.05)


async def test_commands_are_sent_again_only_when_they_changed(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.stop()
        before = await _registrations(home)
        await home.start()
        await asyncio.sleep(1.0)
        assert await _registrations(home) == before
        assert before == len(home.server.world.guilds)


async def _registrations(home: House) -> int:
    return sum(c["method"] == "PUT" and "commands" in c["path"] for c in await home.director.transcript())


async def test_a_draft_of_which_nobody_said_what_it_shows_is_asked_for_again(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        ada = home.people["Ada"]
        said = await ada.post_message(home.channel(), "look", files=photos(4))
        answer = await ada.on_message("Train from these pictures", message=said)
        order = await home.wait_for_order(str(answer.interaction_id))
        first = await home.reply(ada, answer, "What do the pictures show")
        await home.stop()
        await home.start()

        def asked(message: SeenMessage) -> bool:
            return message.id != first.id and f"subject:{order.id}:style" in str(message.buttons())

        again = await ada.wait_message(asked)
        await ada.submit_modal(await ada.click(again, "A style"), {})
        await home.card("Ada", order.id, "4 pictures taken")
