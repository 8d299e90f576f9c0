"""Gives a value where a hook takes one: ``gives mail_pre <other@example.org>``.

What a parsing hook gives is a parser, which reads this value whatever the client wrote.
"""

from typing import Any

from qpsdk import OK, Host, Plugin, Result


class Gives(Plugin):
    def register(self, qp: Host, hook: str, *words: str) -> None:
        text = " ".join(words).encode()

        def parser(_: bytes) -> Any:
            if hook == "auth_parse":
                return words[0], words[1].encode()
            return text if hook in ("helo_parse", "ehlo_parse") else (text, {})

        def method(*_: Any) -> Result:
            return OK, parser if hook.endswith("_parse") else text

        self.register_hook(hook, method)
