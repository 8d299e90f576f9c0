"""The lab in a browser: the site, and on one of its pages what the host just did."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from qpsdk.errors import SetupError
from qpsdk.explain import Explanation, Row
from qpsdk.server.listeners import cannot_listen
from qpsdk.stream import Endpoint

KEPT: Final = 2000
"""Lines that are kept for a page that is opened later."""

BEHIND: Final = 2 * KEPT
"""Lines that a page may be behind before it is cut off; it then asks again, and gets the latest."""


class Page:
    """What the lab's page shows: the latest lines, and each new one to all who look.

    It is a `qpsdk.lab.display.Screen`.
    """

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=KEPT)
        self._looking: set[asyncio.Queue[str | None]] = set()

    def line(self, row: Row) -> None:
        self._tell({"spans": row})

    def explanation(self, explanation: Explanation) -> None:
        self._tell({"html": explanation._repr_html_()})

    async def look(self) -> AsyncIterator[str]:
        """All lines, as server-sent events: the latest, then each as it comes."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(BEHIND)
        for kept in self._kept:
            queue.put_nowait(kept)
        self._looking.add(queue)
        try:
            yield "retry: 1000\n\n"
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._looking.discard(queue)

    def close(self) -> None:
        """End the streams of all who look."""
        for queue in list(self._looking):
            self._end(queue)

    def _tell(self, what: dict[str, Any]) -> None:
        event = f"data: {json.dumps(what)}\n\n"
        self._kept.append(event)
        for queue in list(self._looking):
            if queue.full():
                self._end(queue)
            else:
                queue.put_nowait(event)

    def _end(self, queue: asyncio.Queue[str | None]) -> None:
        self._looking.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The lab's own: one signal stops host and site."""
        yield


@asynccontextmanager
async def served(site: Path, listen: Endpoint, page: Page, smtp: Endpoint) -> AsyncIterator[str]:
    """The site at work, its lab page live; its address for a browser.

    Args:
        site: The folder with the built site.
        smtp: Where the host takes mail, which the page shows.

    Raises:
        SetupError: There is no site, or the address cannot be listened on.
    """
    if not (site / "index.html").is_file():
        raise SetupError(f"{site}: no built site, which has an index.html; `make docs` builds it")

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"events": "events", "smtp": str(smtp)})

    async def events(_: Request) -> StreamingResponse:
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(page.look(), headers=headers, media_type="text/event-stream")

    # What the lab shows is for this machine: no name that another site makes point here.
    names = ["127.0.0.1", "localhost"]
    ours = names if listen.host in names else ["*"]
    application = Starlette(
        routes=[
            Route("/lab/live.json", live),  # the built site has one that says: not live
            Route("/lab/events", events),
            Mount("/", StaticFiles(directory=site, html=True)),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=ours)],
    )
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = _Server(config)
    sockets = [_listening(listen)]
    port = sockets[0].getsockname()[1]
    serving = asyncio.create_task(server.serve(sockets))
    try:
        yield f"http://{Endpoint(listen.host, port)}/"
    finally:
        page.close()
        server.should_exit = True
        await serving


def _listening(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    try:
        return socket.create_server((endpoint.host, endpoint.port), family=family)
    except OSError as error:
        raise cannot_listen(endpoint, error, "--http") from None
