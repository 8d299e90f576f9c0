"""The core and the in-memory kit work in Pyodide, the Python of the site's live cells.

Their own tests run there, under Node; `tests/pyodide/run.mjs` starts them.
"""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Final

import pytest

from tests.programs import missing
from tests.test_floors import FLOORS

ROOT: Final = Path(__file__).parent.parent
NODE: Final = Path(sys.executable).parent / "node"
PYODIDE: Final = ROOT / "npm" / "node_modules" / "pyodide"
PACKAGES: Final = ROOT / ".cache" / "pyodide"

KIT: Final = (
    "answers",
    "dialogue",
    "fake_qmqp",
    "lines",
    "logs",
    "pytest_transcripts",
    "qmqp_capture",
    "qmqp_profiles",
    "qmqp_script",
    "smtp",
    "transcripts",
)
"""Modules of `qpsdk.testing` that need only memory. The others are there for sockets, threads or a
loop of one's own; `contract` loads plugins that need packages; `strategies` takes too long."""

LEFT_OUT: Final = {
    "there are no threads": [
        "tests/test_dispatcher.py::test_blocking_runs_in_a_thread",
        "tests/test_dispatcher.py::test_blocking_is_abandoned",
        "tests/test_log.py::test_from_threads",
        # `with smtp(...)` has a loop of its own, which a thread watches; `async with` works.
        "tests/test_testing_logs.py::test_filters",
        "tests/test_testing_smtp.py::test_misspelt_settings_are_logged",
        "tests/test_testing_smtp.py::test_a_store_that_is_not_used",
        "tests/test_testing_smtp.py::test_step_by_step",
        "tests/test_testing_smtp.py::test_hello",
        "tests/test_testing_smtp.py::test_refusals",
        "tests/test_testing_smtp.py::test_blocks",
        "tests/test_testing_smtp.py::test_a_server_that_closes_while_it_is_sent",
        "tests/test_testing_smtp.py::test_play",
        "tests/test_testing_smtp.py::test_either_way",
        "tests/test_testing_smtp.py::test_lent",
    ],
    "there are no sockets": [
        "tests/test_dispatcher.py::test_time_limits",  # in a loop of the test's own
        "tests/test_meter.py::test_qmqp",
        "tests/test_testing_dialogue.py::test_header_that_cannot_be_used",
        "tests/test_testing_dialogue.py::test_right[socket]",
        "tests/test_testing_dialogue.py::test_another_line[socket]",
        "tests/test_testing_dialogue.py::test_reply_that_nobody_expects[socket]",
        "tests/test_testing_dialogue.py::test_reply_that_does_not_come[socket]",
        "tests/test_testing_dialogue.py::test_server_that_closes[socket]",
        "tests/test_testing_dialogue.py::test_client_that_goes[<closes>-socket]",
        "tests/test_testing_dialogue.py::test_client_that_goes[<half-closes>-socket]",
        "tests/test_testing_dialogue.py::test_client_that_goes[<resets>-socket]",
        "tests/test_testing_dialogue.py::test_plugins_beside_the_transcript[socket]",
        "tests/test_testing_dialogue.py::test_class_of_a_page[socket]",
    ],
    "there are no processes": [
        "tests/test_log.py::test_escape_opens_no_file",
        "tests/test_spool.py::test_a_real_limit",
        "tests/test_spool.py::test_orphans",
        "tests/test_spool.py::test_a_file_that_was_taken_for_an_orphan",
        "tests/test_testing_pytest_transcripts.py::test_update_is_for_one_process",
    ],
    "its system is no POSIX system": [
        "tests/test_config.py::test_what_is_no_setting",  # mkfifo
        "tests/test_config.py::test_file_cannot_be_read_for_a_moment",  # another text of EIO
    ],
    "the test looks at what is installed": [
        "tests/test_hook_transcripts.py::test_the_transcripts_are_collected",
        "tests/test_hooks.py::test_example",
        "tests/test_hooks.py::test_every_hook_of_a_bundled_plugin_has_an_example",
    ],
    "its timers are the browser's: too coarse for milliseconds": [
        # Two that are due in the same moment do not come in the same turn.
        "tests/test_dispatcher.py::test_own_time_limit_in_the_same_moment",
        # One that is due comes before what was to be done at once: on a busy machine a limit of
        # milliseconds is over before the first step of what it limits.
        "tests/test_dispatcher.py::test_over_its_time_limit",
        "tests/test_dispatcher.py::test_no_time_limit_once_handed_over",
        "tests/test_dispatcher.py::test_hand_over_after_the_time_limit",
    ],
}
"""Tests that cannot pass there, by the reason; of a parametrized one, its beginning."""


ABOUT_SERVERS: Final = {"tests/test_store.py"}
"""Test modules whose rooms are on low floors, and which try them on SQLite and Redis, too."""


def modules() -> list[str]:
    """The test modules of floors 0 to 3 and of the kit."""
    rooms = [room for floor in range(4) for room in FLOORS[floor].split()]
    patterns = [
        *(f"test_{room}.py" for room in rooms),
        "test_smtp_*.py",
        "test_qmqp_[cplr]*.py",  # the servers' are about sockets
        "test_hook_transcripts.py",
        "test_explain.py",
        *(f"test_testing_{module}.py" for module in KIT),
    ]
    found = chain.from_iterable((ROOT / "tests").glob(pattern) for pattern in patterns)
    return sorted({path.relative_to(ROOT).as_posix() for path in found} - ABOUT_SERVERS)


@pytest.mark.timeout(600)
def test_the_core_in_pyodide() -> None:
    """Every test of the core and the kit passes that needs no thread, socket or process."""
    for path in (NODE, PYODIDE, PACKAGES):
        if not path.exists():
            missing(f"{path.relative_to(ROOT)} is not there; `make test` fetches it")
    left_out = [f"--deselect={test}" for test in chain.from_iterable(LEFT_OUT.values())]
    # To rewrite asserts, for what a failure shows, takes a fifth of the time there.
    ran = in_pyodide("--assert=plain", *left_out, *modules())
    if failed := re.findall(r"^FAILED (\S+)", ran.stdout, re.MULTILINE):
        again = in_pyodide(*failed)
        pytest.fail(f"{ran.stdout}\n--- those that failed, once more:\n{again.stdout}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    counted = re.search(r"(\d+) passed.*", ran.stdout)
    assert counted is not None
    print(f"in Pyodide: {counted[0]}")
    assert int(counted[1]) > 2000


def in_pyodide(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest there to its end."""
    options = [
        "-q",
        "--tb=short",
        "--import-mode=importlib",
        "--rootdir=/repo",
        "--config-file=/dev/null",  # its settings are for other plugins
        *("-p", "no:cacheprovider"),
        *("-p", "_hypothesis_pytestplugin", "--hypothesis-profile=pyodide"),
        *("-p", "qpsdk.testing.pytest_transcripts"),
    ]
    command: list[str | Path] = [
        NODE,
        "--experimental-wasm-jspi",
        "tests/pyodide/run.mjs",
        PACKAGES,
    ]
    return subprocess.run(
        [*command, *options, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
