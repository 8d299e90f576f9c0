"""Both as a handler of aiosmtpd."""

import asyncio
import uuid
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

GONE = {"ann@example.org", "bob@example.org"}


class Handler:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        user, _, domain = address.rpartition("@")
        if f"{user}@{domain.lower()}" in GONE:
            return "550 5.7.1 They no longer work here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
    ) -> str:
        assert isinstance(envelope.content, bytes)  # as long as nobody asks for str
        path = self._folder / f"{uuid.uuid4()}.eml"
        await asyncio.to_thread(path.write_bytes, envelope.content)
        return "250 2.0.0 Kept"
