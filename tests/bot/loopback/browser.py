"""Debian's chromium over its debugging port: enough to open a page, run a line in it, and take its picture."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.complaints: list[str] = []

    async def do(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the debugging protocol."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            told = json.loads((await self._socket.receive(timeout=20)).data)
            if told.get("method") in {"Runtime.exceptionThrown", "Log.entryAdded"}:
                self.complaints.append(json.dumps(told["params"])[:600])
            if told.get("id") == number:
                assert "error" not in told, told
                return dict(told["result"])

    async def show(self, url: str, *, width: int, height: int = 844, dark: bool = False) -> None:
        """Open an address in a window of this size."""
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.do("Emulation.setEmulatedMedia", features=[scheme])
        await self.do("Page.navigate", url="about:blank")
        await self.do("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """The value of a line of JavaScript, awaited."""
        done = await self.do("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def until(self, script: str, timeout_s: float = 15.0) -> None:
        """Wait until a line of JavaScript is true."""
        async with asyncio.timeout(timeout_s):
            while not await self.run(f"!!({script})"):  # noqa: ASYNC110  # it waits for a page
                await asyncio.sleep(0.05)

    async def choose(self, selector: str, files: list[Path]) -> None:
        """Choose files in a file input."""
        found = await self.do("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        handle = found["result"]["objectId"]
        await self.do("DOM.setFileInputFiles", files=[str(f) for f in files], objectId=handle)

    async def picture(self, path: Path) -> None:
        """Save what the window shows as a PNG."""
        path.write_bytes(base64.b64decode((await self.do("Page.captureScreenshot"))["data"]))


@asynccontextmanager
async def opened(profile: Path) -> AsyncIterator[Page]:
    """A tab of a fresh chromium, whose profile lies in this folder."""
    program = shutil.which("chromium")
    assert program is not None, "the page tests need Debian's chromium: apt-get install chromium"
    process = subprocess.Popen(  # noqa: ASYNC220  # it is started once and waited for
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                tabs = await response.json()
            address = next(t["webSocketDebuggerUrl"] for t in tabs if t["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.do(f"{domain}.enable")
                yield page
                with contextlib.suppress(Exception):
                    await page.do("Browser.close")
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)


async def _port(path: Path) -> int:
    async with asyncio.timeout(30):
        while not (path.exists() and path.read_text().strip()):  # noqa: ASYNC110  # another program writes it
            await asyncio.sleep(0.05)
    return int(path.read_text().split()[0])
