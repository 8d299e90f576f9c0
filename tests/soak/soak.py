"""A soak: load, rest, count; and again."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from qpsdk.testing import Conversation, FakeQMQPServer
from qpsdk.testing import qmqp_script as script
from tests.interop.rig import FakeServer, RunningHost, eventually, running_host
from tests.soak.load import Load

CLIENTS = 4
"""At the same time. More would only wait: the host, they and the fake server share two cores."""

WARM_UP = 0.2
"""Of the time, after which allocators and caches have what they keep."""

GROWTH_KB = 1_500
"""That memory may differ between two thirds of a soak: an allocator's arena, not a leak."""

GROWTH_OBJECTS = 200
"""Objects of Python: caches of patterns and the like."""

FAULTS = (
    *[script.accept("ok")] * 12,
    script.defer("busy"),
    script.reject("no"),
    script.close_at(500),
    script.rst(),
    script.no_reply(),
    script.cut_reply(),
    script.answer(b"7:garbage,"),
    script.late(0.05),
    script.defer("early", at=100),
)
"""What the QMQP server does to one connection after the other."""

PLUGINS = Path(__file__).parent / "plugins"


class Sample(NamedTuple):
    """What the host holds when nobody is connected.

    Attributes:
        seconds: Since the beginning.
        memory: Resident, in kB.
    """

    seconds: float
    memory: int
    descriptors: int
    tasks: int
    threads: int
    objects: int
    spooled: int


class Soak:
    """Runs one.

    Attributes:
        samples: In their order.
        counts: What the clients have done.
        accepted: Messages to which the QMQP server said K.
    """

    def __init__(self, folder: Path, seconds: float, seed: int, rests: int = 12) -> None:
        """`rests` is how often it is counted; each takes a second or two of the time."""
        self.samples: list[Sample] = []
        self.counts: Counter[str] = Counter()
        self.accepted = 0
        self._folder = folder
        self._seconds = seconds
        self._seed = seed
        self._rests = rests
        self._errors: list[BaseException] = []

    def run(self) -> None:
        """Do it.

        Raises:
            AssertionError: A client was told what it may not be told, or the host has died.
        """
        config = {
            "plugin_dirs": str(PLUGINS),
            "size_threshold": "20000",
            "loglevel": "LOGERROR",
        }
        with _server() as server:
            forwarder = f"queue/qmqp_forward {server.address[0]} {server.address[1]} io_timeout=5"
            config["plugins"] = f"census\nrcpt_ok\n{forwarder}"
            with running_host(self._folder, server.address, **config) as host:
                started = time.monotonic()
                for number in range(self._rests):
                    until = started + self._seconds * (number + 1) / self._rests
                    self._work(host, until, number)
                    self.samples.append(self._count(host, time.monotonic() - started))
            self.accepted = server.accepted

    def problems(self) -> list[str]:
        """What has grown from the first third after the warm-up to the last, and what is lost."""
        found = []
        kept = self.samples[int(len(self.samples) * WARM_UP) :]
        third = max(1, len(kept) // 3)
        first, last = kept[:third], kept[-third:]
        for name, growth in (
            ("memory", GROWTH_KB),
            ("objects", GROWTH_OBJECTS),
            ("descriptors", 0),
            ("tasks", 0),
            ("threads", 0),
        ):
            before = max(getattr(sample, name) for sample in first)
            after = min(getattr(sample, name) for sample in last)
            if after > before + growth:
                found.append(f"{name} grew from {before:,} to {after:,}")
        found += [f"{s.spooled} spool files at {s.seconds:.0f} s" for s in kept if s.spooled]
        if self.counts["acknowledged"] > self.accepted:
            found.append(f"{self.counts['acknowledged']} acknowledged, {self.accepted} accepted")
        return found

    def _work(self, host: RunningHost, until: float, number: int) -> None:
        loads = [Load(host, self._seed + number * CLIENTS + client) for client in range(CLIENTS)]

        def work(load: Load) -> None:
            try:
                while time.monotonic() < until and not self._errors:
                    load.one()
            except BaseException as error:
                self._errors.append(error)

        threads = [threading.Thread(target=work, args=(load,)) for load in loads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for load in loads:
            self.counts += load.counts
        if self._errors:
            raise AssertionError(host.log()[-2_000:]) from self._errors[0]

    def _count(self, host: RunningHost, seconds: float) -> Sample:
        """Wait until nothing is left of the clients, and count."""
        numbers: list[int] = []

        def is_quiet() -> bool:
            numbers[:] = _census(host)
            spooled = len(host.spooled())
            quiet = not spooled and (not self.samples or numbers[0] <= self.samples[0].tasks)
            return quiet and host.descriptors() <= self._descriptors()

        eventually(is_quiet)
        tasks, threads, objects = numbers
        return Sample(
            seconds,
            host.memory("VmRSS"),
            host.descriptors(),
            tasks,
            threads,
            objects,
            len(host.spooled()),
        )

    def _descriptors(self) -> int:
        return self.samples[0].descriptors if self.samples else 1 << 20


def _census(host: RunningHost) -> list[int]:
    with host.connect() as client:
        answer = client.ask(b"VRFY census")
    return [int(number) for number in answer.text.split()[-3:]]


class _Counting(FakeServer):
    """A QMQP server that counts, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__(keep=0)
        self.accepted = 0
        self.fake = FakeQMQPServer(self._ended, keep=0)

    def _ended(self, conversation: Conversation) -> None:
        self.accepted += conversation.reply.partition(b":")[2][:1] == b"K"
        self.fake.clear()


@contextmanager
def _server() -> Iterator[_Counting]:
    with _Counting() as server:
        stopped = threading.Event()

        def go_on() -> None:
            # The last act of a script is for all connections after: it has to be renewed.
            while not stopped.wait(0.2):
                with suppress(AssertionError):
                    server.script(*FAULTS)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield server
        finally:
            stopped.set()
            thread.join()
