"""logging/adaptive: the details of what was denied, and of nothing else."""

import asyncio
import re
from typing import Any

import pytest

from qpsdk import DENY, LOGDEBUG, LOGINFO, LOGNOTICE, LOGWARN, OK, Connection, Plugin, PluginError
from qpsdk.finder import PluginLine
from qpsdk.loader import load_one
from qpsdk.log import configure
from qpsdk.testing import SMTPClient, smtp
from qpsdk.testing.smtp import memory_host


class Talks(Plugin):
    """Logs what it is asked, and refuses recipients and clients named bad."""

    def hook_ehlo(self, connection: Connection, host: bytes) -> Any:
        self.log(LOGINFO, "ehlo", host.decode())
        return DENY if host == b"bad" else OK

    def hook_rcpt(self, transaction: Any, recipient: Any, params: Any) -> Any:
        self.log(LOGDEBUG, "looking at", recipient)
        if recipient.user == b"noisy":
            self.log(LOGWARN, "oh")
        if recipient.user == b"many":
            for number in range(200):
                self.log(LOGDEBUG, number)
        return DENY if recipient.host == b"bad" else OK

    def hook_queue(self, transaction: Any) -> Any:
        return OK


async def transaction(client: SMTPClient, *recipients: str) -> None:
    """Begin a transaction with these recipients, and end it."""
    await client.command("MAIL FROM:<a@b>")
    for recipient in recipients:
        await client.command(f"RCPT TO:<{recipient}>")
    await client.command("RSET")


def written(options: str, *recipients: tuple[str, ...], ehlo: str = "client") -> list[str]:
    """What is read behind the plugin, after a transaction for each of these lists."""

    lines: list[str] = []

    class Behind(Plugin):
        maxlevel = LOGNOTICE

        def hook_logging(self, *line: Any) -> Any:
            _, _, level, hook, plugin, text = line
            lines.append(f"{level.name} ({hook}) {plugin}: {text}")
            return OK

    configure(LOGWARN)

    async def main() -> None:
        async with smtp(f"logging/adaptive {options}", Behind(), Talks()) as client:
            await client.command(f"EHLO {ehlo}")
            for each in recipients:
                await transaction(client, *each)

    asyncio.run(main())
    return [re.sub(r"-[0-9.]+(s|(?= ms))", "-#s", line) for line in lines]


def test_accepted() -> None:
    """Of accepted mail only the lines of config/loglevel are written."""
    assert written("", ("one@good",), ("noisy@good",)) == ["LOGWARN (rcpt) Talks: oh"]


def test_denied() -> None:
    """Of denied mail all are written: the connection's, then the transaction's, in order."""
    own = "LOGWARN (reset_transaction) logging/adaptive: "
    lines = written("", ("one@good",), ("two@good", "three@bad"))
    assert all(line.startswith(f"{own}`") for line in lines)
    told = [line.removeprefix(f"{own}`") for line in lines]
    assert told[0] == "LOGINFO -#s connection from 192.0.2.1"
    assert told[1] == "LOGINFO -#s (ehlo) Talks: ehlo client"
    assert [line for line in told if "looking" in line] == [
        "LOGDEBUG -#s (rcpt) Talks: looking at <two@good>",
        "LOGDEBUG -#s (rcpt) Talks: looking at <three@bad>",
    ]
    assert told[-1] == "LOGNOTICE -#s Talks: rcpt: DENY (from <a@b> to <three@bad>)"


def test_each_transaction_for_itself() -> None:
    """What follows a denied transaction is held as before, and nothing is written twice."""
    lines = written("", ("one@bad",), ("two@good",), ("three@bad",))
    assert sum("ehlo client" in line for line in lines) == 1
    asked = [line.rpartition("looking at ")[2] for line in lines if "looking" in line]
    assert asked == ["<one@bad>", "<three@bad>"]


def test_client_denied() -> None:
    """If the client itself was denied, its lines are written at the end of the connection."""
    lines = written("reject=LOGINFO", ("one@good",), ehlo="bad")
    assert lines == [
        "LOGWARN (post_connection) logging/adaptive: `LOGINFO -#s connection from 192.0.2.1",
        "LOGWARN (post_connection) logging/adaptive: `LOGINFO -#s (ehlo) Talks: ehlo bad",
        "LOGWARN (post_connection) logging/adaptive: `LOGNOTICE -#s Talks: ehlo: DENY",
    ]


def test_levels_and_prefix() -> None:
    """accept= and reject= say which lines, prefix= what is in front of the details."""
    lines = written("accept=5 reject=info prefix=+", ("one@bad",))
    assert lines == [
        "LOGNOTICE () Talks: rcpt: DENY (from <a@b> to <one@bad>)",
        "LOGNOTICE (reset_transaction) logging/adaptive: +LOGINFO -#s connection from 192.0.2.1",
        "LOGNOTICE (reset_transaction) logging/adaptive: +LOGINFO -#s (ehlo) Talks: ehlo client",
    ]


def test_bounded() -> None:
    """Of very many lines the latest are kept."""
    lines = written("", ("many@bad",))
    numbers = [
        line.split()[-1] for line in lines if "Talks: " in line and line.split()[-1].isdigit()
    ]
    assert len(numbers) < 100
    assert numbers[-1] == "199"
    assert len(lines) <= 200


def test_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """With nobody behind it, the details are on standard error, with the connection's name."""
    configure(LOGWARN)

    async def main() -> None:
        async with smtp("logging/adaptive", Talks()) as client:
            await transaction(client, "one@bad")
            await client.command("EHLO client")
            await transaction(client, "one@bad")

    asyncio.run(main())
    lines = [line[24:] for line in capsys.readouterr().err.splitlines()]
    own = r"LOGWARN \[c1\] \(reset_transaction\) logging/adaptive: "
    assert any(re.fullmatch(rf"{own}`LOGDEBUG -0\.\d{{3}}s \(rcpt\) .*", line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("accept=6 reject=4", "reject=4 is below accept: denied mail is to log more"),
        ("accept=loud", "'loud' is no log level"),
        ("reject LOGDEBUG", "too many positional arguments"),
    ],
)
def test_refuses_to_start(arguments: str, problem: str) -> None:
    """Wrong levels are told at the start."""
    with pytest.raises(PluginError, match=problem):
        load_one(PluginLine.parse(f"logging/adaptive {arguments}"), memory_host({}))
