"""Says goodbye with a saying.

In `config/plugins`::

    quit_fortune [PROGRAM]

PROGRAM is run with `-s` (short); `fortune` if it is left out, and where that is not installed
the sayings are the lines of `config/fortunes`. Only clients that greet with HELO get one: what
says EHLO is a program without humour.

It teaches `@blocking`, for a hook that must wait for something outside, and `connection.respond`
with DONE, for a reply of one's own.
"""

import shutil
import subprocess

from qpsdk import DECLINED, DONE, LOGWARN, Connection, Host, Plugin, Result, blocking

FORTUNE = ("fortune", "/usr/games/fortune")  # Debian has it where no service looks
TIME_LIMIT = 5.0  # seconds that the program may take
MAX_LINES = 20  # of a saying; nobody waits to read more


class QuitFortune(Plugin):
    """Add a saying to the answer to QUIT."""

    def register(self, qp: Host, program: str = "") -> None:
        """Find the program, or the lines that stand in for it."""
        found = [shutil.which(name) for name in ([program] if program else FORTUNE)]
        self.program = next(filter(None, found), None)
        if program and self.program is None:
            raise ValueError(f"there is no program {program!r}")
        if self.program is None and not self.config("fortunes"):
            raise ValueError("no fortune program is installed: install it or write config/fortunes")

    @blocking
    def hook_quit(self, connection: Connection) -> Result:
        """Answer QUIT ourselves, or leave it to the host if there is no saying."""
        if connection.hello == "ehlo":
            return DECLINED
        saying = self.saying()
        if not saying:
            return DECLINED
        bye = f"{self.qp.settings.me} Closing the connection"  # a 221 begins with the host's name
        connection.respond(221, "\n".join([bye, *(f"  / {line}" for line in saying)]))
        return DONE

    def saying(self) -> list[str]:
        """The lines of one saying; none if there is none."""
        if self.program is None:
            sayings = self.config("fortunes")
            return [self.qp.random.choice(sayings)] if sayings else []
        try:
            done = subprocess.run(
                [self.program, "-s"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIME_LIMIT,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self.log(LOGWARN, "no saying:", error)
            return []
        return done.stdout.decode("utf-8", "replace").splitlines()[:MAX_LINES]
