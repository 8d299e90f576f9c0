"""The plugins as they were loaded at one time: at the start of the host, or by a reload."""

import os
from contextlib import AsyncExitStack

from qpsdk import doubts
from qpsdk.constants import LOGINFO, LOGWARN
from qpsdk.dispatcher import Dispatcher, shut_down
from qpsdk.errors import ConfigError, SetupError
from qpsdk.host import Host
from qpsdk.loader import load
from qpsdk.log import log
from qpsdk.plugin import Plugin


class Loaded:
    """The plugins of `config/plugins`, with the host that they were given.

    Attributes:
        host: What they were given as `qp`.
        clients: How many have come to them, and are here.
    """

    def __init__(
        self,
        host: Host,
        dispatcher: Dispatcher | None = None,
        begun: list[Plugin] | None = None,
    ) -> None:
        """Load them, or take those of a `dispatcher`; `begun` is as in `qpsdk.loader.load`.

        Raises:
            SetupError: One cannot be loaded.
        """
        self.host = host
        self.clients = 0
        self._of_config = dispatcher is None
        self.dispatcher = dispatcher or load(host, begun)
        self.dispatcher.meter = host.meter
        self._log_chain = self.dispatcher.log_chain()
        self._ended = False

    @classmethod
    async def beside_others(cls, host: Host) -> "Loaded":
        """Load them while others are at work: if one cannot be loaded, those before it are ended.

        Raises:
            SetupError: One cannot.
        """
        begun: list[Plugin] = []
        try:
            return cls(host, begun=begun)
        except SetupError:
            await shut_down(begun)
            raise

    async def start(self) -> None:
        """Let them begin.

        Raises:
            SetupError: The spool or the store cannot be used.
        """
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.end)
            self.lend_log()
            path = self.host.spool.path  # made now, so that a wrong one is told at the start
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise ConfigError("this user cannot write to the spool folder", path)
            if left := self.host.spool.remove_orphans():
                log(LOGWARN, f"{path}: removed spool files of a host that died: {left}")
            if self.host.settings.store:
                await self.host.store.open()
            if "post_fork" in self.dispatcher.hooks:
                await self.dispatcher.run("post_fork", None, ())
            undo.pop_all()

    def tell(self, *, warns: bool = True) -> None:
        """Log which they are, and if it `warns` what `qpsdk check` would warn of."""
        plugins = self.dispatcher.plugins
        log(LOGINFO, "plugins:", ", ".join(p.name for p in plugins) or "none")
        if self._of_config and warns:
            for doubt in doubts.of_host(self.host, plugins):
                log(LOGWARN, str(doubt))

    def lend_log(self) -> None:
        """Let them read what is logged from here on in this context."""
        self._log_chain.lend()

    async def end(self) -> None:
        """Have them end what they have begun. May be called twice."""
        if not self._ended:
            self._ended = True
            await self.dispatcher.shutdown()
            await self.host.store.close()
            self.host.spool.close()
            self._log_chain.take_back()
