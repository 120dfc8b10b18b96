"""Settings: the token goes to Discord or to this machine, is shown by nothing, and servers are listed plainly."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.endpoints import attachment_origin_allowed
from bot.links import FileLink, Links
from bot.settings import BotSettings


def settings(**values: object) -> BotSettings:
    return BotSettings(_env_file=None, **{"token": "secret-token", **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        "http://discord.com",
        "https://discord.com.evil.example",
        "https://evil.example",
        "http://127.0.0.1",
        "https://127.0.0.1:8500",
        "http://localhost:8500",
        "http://127.0.0.1:8500/api",
        "http://user@127.0.0.1:8500",
        "http://127.0.0.1.evil.example:80",
    ],
)
def test_the_token_goes_nowhere_else(address: str) -> None:
    with pytest.raises(ValidationError):
        settings(discord_url=address)


def test_discord_and_the_loopback_are_taken() -> None:
    assert not settings().loopback
    assert settings(discord_url="http://127.0.0.1:8500/").loopback


def test_nothing_prints_the_token() -> None:
    made = settings()
    assert "secret-token" not in f"{made} {made!r} {made.model_dump()} {made.model_dump_json()}"
    assert made.token.get_secret_value() == "secret-token"


@pytest.mark.parametrize("name", ["LORASMITH_TOKEN", "DISCORD_TOKEN"])
def test_the_token_comes_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "from-env")
    assert BotSettings().token.get_secret_value() == "from-env"


def test_servers_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_ALLOWED_SERVERS", "1, 2,3")
    made = settings()
    assert made.allowed_servers == {1, 2, 3}
    assert not made.serves(4)
    monkeypatch.delenv("LORASMITH_ALLOWED_SERVERS")
    assert settings().serves(4)


def test_a_ballot_is_twelve_hours_unless_set_in_seconds() -> None:
    assert settings().ballot_seconds == 12 * 3600
    assert settings(ballot_s=20).ballot_seconds == 20


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://cdn.discordapp.com/attachments/1/2/a.png?ex=1", True),
        ("https://media.discordapp.net/attachments/1/2/a.png", True),
        ("http://cdn.discordapp.com/attachments/1/2/a.png", False),
        ("https://cdn.discordapp.com.evil.example/a.png", False),
        ("https://cdn.discordapp.com@evil.example/a.png", False),
        ("https://cdn.discordapp.com:8443/a.png", False),
        ("http://127.0.0.1:8500/attachments/1/2/a.png", False),
        ("http://169.254.169.254/latest/meta-data", False),
    ],
)
def test_files_are_fetched_from_discords_hosts_only(url: str, allowed: bool) -> None:  # noqa: FBT001  # a parameter
    assert attachment_origin_allowed(url, settings()) is allowed


def test_with_a_loopback_files_come_from_its_own_origin_only() -> None:
    made = settings(discord_url="http://127.0.0.1:8500")
    assert attachment_origin_allowed("http://127.0.0.1:8500/attachments/1/2/a.png", made)
    assert not attachment_origin_allowed("http://127.0.0.1:8501/attachments/1/2/a.png", made)
    assert not attachment_origin_allowed("https://cdn.discordapp.com/a.png", made)


def test_a_base_that_nobody_can_train_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="base models are"):
        settings(base="sd-xl")


def test_the_operator_weighs_servers_and_sets_how_much_a_member_may_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_SERVER_WEIGHTS", "11=2, 12=0.5")
    made = settings(drafts_a_member=5, orders_a_member=2)
    assert made.server_weights == {11: 2.0, 12: 0.5}
    for wrong in ({"server_weights": "11"}, {"server_weights": "11=0"}, {"orders_a_member": 0}, {"drafts_a_member": 0}):
        with pytest.raises(ValidationError):
            settings(**wrong)


def test_a_signature_that_is_no_ascii_is_wrong_and_no_trouble() -> None:
    links = Links(key=b"k" * 32, address="https://lora.example.org")
    link = FileLink(order_id="a", step=1, role="lora", member_id="1", expires=2**33)
    assert not links.good_file(link, "ünïcode")
    assert not links.good_page("a", "é" * 32)
