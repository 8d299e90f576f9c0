"""The host that the header of a transcript asks for, and a client's connection to it."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TYPE_CHECKING, Final

from qpsdk.config import Config
from qpsdk.errors import SetupError, TranscriptError
from qpsdk.message import Connection
from qpsdk.stream import Endpoint
from qpsdk.testing.memory import MemoryStream
from qpsdk.testing.smtp import in_memory
from qpsdk.testing.transcripts import Block, Transcript

if TYPE_CHECKING:
    from qpsdk.server.stream import SocketStream

CONNECT_LIMIT: Final = 5.0
IO_LIMIT: Final = 50.0
"""Seconds to connect to a host of our own, and for one write or read: longer than a dialogue waits
for a line."""


@asynccontextmanager
async def connected(transcript: Transcript) -> "AsyncIterator[MemoryStream | SocketStream]":
    """The client's end of a connection to a host with the plugins and settings of the header.

    Raises:
        TranscriptError: A plugin or a setting in the header is wrong.
    """
    header, folder = transcript.header, transcript.path.parent
    config = {"me": "mx.example.com", **header.config}
    directories = config.get("plugin_dirs", "").split("\n")
    config["plugin_dirs"] = "\n".join(str(folder / text) for text in directories if text)
    with _plugins(transcript) as plugins:
        try:
            over = _over_socket if header.over == "socket" else _over_memory
            async with over(plugins, config, header.client) as stream:
                yield stream
        except SetupError as error:
            told = re.sub(r"\Aconfig/plugins:\d+: ", "", str(error))  # the header stands for it
            raise TranscriptError(told, transcript.path, _place(told, transcript)) from error


def _place(told: str, transcript: Transcript) -> int:
    """The line of the header that an error is about: the plugin whose name it begins with."""
    for line in transcript.header.plugins:
        if re.match(rf"(\w+\.)?{re.escape(line.text.split()[0])}\b", told):
            return line.number
    return transcript.number


@asynccontextmanager
async def _over_memory(
    plugins: list[str], config: dict[str, str], client: str
) -> AsyncIterator[MemoryStream]:
    connection = Connection("c1", client or "192.0.2.1", 40_000, "192.0.2.2", 25)
    async with in_memory(*plugins, config=config, connection=connection) as (stream, _):
        yield stream


@asynccontextmanager
async def _over_socket(
    plugins: list[str], config: dict[str, str], _client: str
) -> "AsyncIterator[SocketStream]":
    from qpsdk.server.host import Server, new_host  # in a browser there are no sockets
    from qpsdk.server.stream import connect

    host = new_host(Config(config | {"plugins": "\n".join(plugins)}))
    async with Server(host, [Endpoint("127.0.0.1", 0)]) as server:
        stream = await connect(
            server.endpoints[0], connect_timeout=CONNECT_LIMIT, io_timeout=IO_LIMIT
        )
        try:
            yield stream
        finally:
            stream.abort()


@contextmanager
def _plugins(transcript: Transcript) -> Iterator[list[str]]:
    """The lines of `config/plugins`; a class of the page is found by them as one of a module.

    Raises:
        TranscriptError: The code of the page fails.
    """
    modules: dict[int, ModuleType] = {}
    lines: list[str] = []
    for line in transcript.header.plugins:
        block = transcript.code.get(line.text.split()[0].partition(":")[0])
        if block is None:
            lines.append(line.text)
            continue
        number = block.lines[0][0]
        if number not in modules:
            modules[number] = _import(transcript.path, block)
        lines.append(f"{modules[number].__name__}.{line.text}")
    sys.modules.update({module.__name__: module for module in modules.values()})
    try:
        yield lines
    finally:
        for module in modules.values():
            del sys.modules[module.__name__]


def _import(path: Path, block: Block) -> ModuleType:
    """Run code of a page as a module, under its own file and line numbers."""
    first = block.lines[0][0]
    source = "\n" * (first - 1) + "\n".join(text for _, text in block.lines)
    module = ModuleType(re.sub(r"\W", "_", f"{path.stem}_{first}"))
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except Exception as error:
        trace = [f.lineno for f in extract_tb(error.__traceback__) if f.filename == str(path)]
        at = trace[-1] if trace else getattr(error, "lineno", first)  # it could not be compiled
        raise TranscriptError(f"{type(error).__name__}: {error}", path, at or first) from error
    return module
