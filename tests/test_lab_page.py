"""The lab in a browser: the site is served, and its lab page gets each line that is shown."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from qpsdk.errors import SetupError
from qpsdk.explain import Span, explain
from qpsdk.lab.page import BEHIND, KEPT, Page, served
from qpsdk.stream import Endpoint

LOOPBACK = Endpoint("127.0.0.1", 0)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of one page, whose copy of live.json says that nobody is there."""
    (tmp_path / "index.html").write_text("<h1>Home</h1>", encoding="utf-8")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "index.html").write_text("<h1>The lab</h1>", encoding="utf-8")
    (tmp_path / "lab" / "live.json").write_text('{"events": null}', encoding="utf-8")
    (tmp_path / "run.mjs").write_text("export {};", encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def asked(
    address: str, path: str, host: str | None = None
) -> AsyncIterator[asyncio.StreamReader]:
    """The answer to a GET, head and body."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host or place.netloc}\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode())
        yield reader
    finally:
        writer.close()


async def get(address: str, path: str, host: str | None = None) -> tuple[int, str, str]:
    """Status, content type and body."""
    async with asked(address, path, host) as reader:
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    return int(head.split()[1]), fields.get("content-type", ""), body


async def told(reader: asyncio.StreamReader) -> Any:
    """What the next event says."""
    while True:
        line = await reader.readline()
        if line.startswith(b"data: "):
            return json.loads(line[6:])


def test_site_is_served(site: Path) -> None:
    """Pages, folders and modules come with their types; what is not there is 404."""

    async def main() -> None:
        async with served(site, LOOPBACK, Page(), Endpoint("127.0.0.1", 2525)) as address:
            assert address.startswith("http://127.0.0.1:")
            assert await get(address, "/") == (200, "text/html; charset=utf-8", "<h1>Home</h1>")
            assert (await get(address, "/lab/"))[2] == "<h1>The lab</h1>"
            status, kind, _ = await get(address, "/run.mjs")
            assert (status, kind.split(";")[0]) in (
                (200, "text/javascript"),
                (200, "application/javascript"),
            )
            assert (await get(address, "/no"))[0] == 404

    asyncio.run(main())


def test_live(site: Path) -> None:
    """The page learns that the lab is there, and where the host takes mail."""

    async def main() -> None:
        async with served(site, LOOPBACK, Page(), Endpoint("127.0.0.1", 2525)) as address:
            _, kind, body = await get(address, "/lab/live.json")
            assert kind == "application/json"
            assert json.loads(body) == {"events": "events", "smtp": "127.0.0.1:2525"}

    asyncio.run(main())


def test_events(site: Path) -> None:
    """Who looks gets what was shown before, then each line as it comes."""

    async def main() -> None:
        page = Page()
        page.line([Span("client", "c1 C: quit"), Span("denied", "DENY")])
        async with (
            served(site, LOOPBACK, page, Endpoint("127.0.0.1", 2525)) as address,
            asked(address, "/lab/events") as reader,
        ):
            before = await told(reader)
            page.explanation(explain(b"1:<,"))
            now = await told(reader)
        assert before == {"spans": [["client", "c1 C: quit"], ["denied", "DENY"]]}
        assert "&lt;" in now["html"]

    asyncio.run(main())


def test_end_with_readers(site: Path) -> None:
    """The lab ends at once, though pages are looking."""

    async def main() -> None:
        async with served(site, LOOPBACK, Page(), Endpoint("127.0.0.1", 2525)) as address:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(address).port)
            writer.write(b"GET /lab/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"retry:")
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()

    asyncio.run(main())


def test_other_names_are_refused(site: Path) -> None:
    """A name that another site has made point to this machine gets nothing (DNS rebinding)."""

    async def main() -> None:
        async with served(site, LOOPBACK, Page(), Endpoint("127.0.0.1", 2525)) as address:
            assert (await get(address, "/lab/live.json", "evil.example"))[0] == 400

    asyncio.run(main())


def test_bounded() -> None:
    """Only the latest lines are kept, and a page that does not read is cut off."""

    async def main() -> None:
        page = Page()
        for number in range(KEPT + 1):
            page.line([Span("client", str(number))])
        reading = page.look()
        await anext(reading)
        assert '"1"' in await anext(reading)  # the very first is gone
        for number in range(BEHIND + 1):
            page.line([Span("client", str(number))])
        with pytest.raises(StopAsyncIteration):
            await anext(reading)

    asyncio.run(main())


def test_no_site(tmp_path: Path) -> None:
    """A folder without a site is told, with what builds one."""

    async def main() -> None:
        async with served(tmp_path, LOOPBACK, Page(), LOOPBACK):
            pass

    with pytest.raises(SetupError, match=r"no built site, which has an index\.html; `make docs`"):
        asyncio.run(main())


def test_port_in_use(site: Path) -> None:
    """A port that somebody has is told."""

    async def main() -> None:
        async with served(site, LOOPBACK, Page(), LOOPBACK) as address:
            taken = Endpoint("127.0.0.1", urlsplit(address).port or 0)
            with pytest.raises(SetupError, match=r"cannot listen on 127\.0\.0\.1"):
                async with served(site, taken, Page(), LOOPBACK):
                    pass

    asyncio.run(main())
