"""Running a hook: who is asked, in which order, for how long, and what a failure counts as."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qpsdk import (
    DECLINED,
    DENY,
    DENY_DISCONNECT,
    DENYSOFT,
    DONE,
    LOGINFO,
    LOGWARN,
    OK,
    Connection,
    Constant,
    Plugin,
    PluginError,
    Transaction,
    blocking,
)
from qpsdk import dispatcher as dispatcher_module
from qpsdk.dispatcher import Dispatcher, Outcome
from qpsdk.hooks import HOOKS
from qpsdk.log import Formatter, Scene, scene
from qpsdk.spool import Spool, SpoolDirectory

SOON = 0.02  # seconds: the time limit of plugins that are to exceed it


def new_transaction() -> Transaction:
    """A transaction of the connection c1."""
    return Transaction(Connection("c1"), "c1.1", Spool(1000, SpoolDirectory()), 1000)


def ask(
    hook: str, *plugins: Plugin, about: Transaction | None = None, limit: float = 20.0
) -> Outcome:
    """Run one hook over the plugins; blocking ones run in threads."""
    transaction = about or new_transaction()
    arguments = tuple(transaction if name == "transaction" else name for name in HOOKS[hook].arguments)
    dispatcher = Dispatcher(plugins, asyncio.to_thread)

    async def main() -> Outcome:
        subject = transaction if "transaction" in arguments else transaction.connection
        return await asyncio.wait_for(dispatcher.run(hook, subject, arguments), limit)

    transaction = about or transaction
    is_about = HOOKS[hook].arguments[0] == "transaction"

    async def run() -> Outcome:
        subject = transaction if is_about else transaction.connection
        return await asyncio.wait_for(dispatcher.run(hook, subject, arguments), limit)

    return asyncio.run(run())
