"""The order of hooks, from the hook table."""

from collections.abc import Mapping
from typing import Final

from qpsdk.constants import DECLINED, DENY, OK
from qpsdk.hooks import HOOKS, Hook

from .drawing import LINE, Drawing

STAGES: Final = {
    "the client connects": ("pre_connection", "connect"),
    "HELO": ("helo_parse", "helo"),
    "or EHLO": ("ehlo_parse", "ehlo"),
    "AUTH": ("auth_parse", "auth_plain", "auth_login", "auth_cram_md5", "auth"),
    "MAIL FROM": ("mail_parse", "mail_pre", "mail"),
    "RCPT TO, for each": ("rcpt_parse", "rcpt_pre", "rcpt"),
    "DATA": ("data",),
    "the header has come": ("data_headers_end",),
    "the final dot": (
        *("data_post_headers", "received_line", "data_post"),
        *("queue_pre", "queue", "queue_post", "reset_transaction"),
    ),
    "QUIT": ("quit",),
    "the end, however": ("disconnect", "post_connection"),
}
"""What brings the hooks about, in the order of the table."""

BESIDE: Final = {
    "between messages": ("vrfy", "noop", "help", "unrecognized_command"),
    "after each answer": ("deny", "ok"),
    "a line is logged": ("logging",),
    "a setting is read": ("config", "user_config"),
    "a worker starts": ("post_fork",),
}
"""The hooks that have no place of their own in a dialogue."""


def dispatch(hooks: Mapping[str, Hook] = HOOKS) -> str:
    """The hooks from top to bottom as a message meets them, with what the client reads.

    Raises:
        ValueError: A hook has no place in the picture, or another than in the table.
    """
    _check_places(hooks)
    stages = [f"{stage}: {', '.join(names)}." for stage, names in (STAGES | BESIDE).items()]
    drawing = Drawing(
        "dispatch", "The hooks in the order in which a message meets them", " ".join(stages)
    )
    hook_x, width, reply_x = 180.0, 170.0, 370.0
    spine, y = hook_x + width / 2, LINE / 2
    drawing.text(0, y, "what happens", "strong")
    drawing.text(spine, y, "hook", "strong", "middle")
    drawing.text(reply_x, y, "the client reads", "strong")
    for stage, names in (STAGES | BESIDE).items():
        if stage in STAGES and y > LINE:
            drawing.line((spine, y + LINE / 2 - 1), (spine, y + LINE - 1))
        y += LINE / 2
        drawing.text(0, y + LINE, stage)
        for name in names:
            y += LINE
            drawing.room(hook_x, y, name, width, "hook" if stage in STAGES else "outside")
            drawing.text(reply_x, y, _replies(hooks[name]), "quiet")
    return drawing.svg()


def _check_places(hooks: Mapping[str, Hook]) -> None:
    placed = [name for names in STAGES.values() for name in names]
    beside = [name for names in BESIDE.values() for name in names]
    for names in (placed, beside):
        if names != [name for name in hooks if name in names]:
            raise ValueError(f"docs/hooks/diagrams: not the order of the hook table: {names}")
    if lost := hooks.keys() - {*placed, *beside}:
        raise ValueError(f"docs/hooks/diagrams: not in the picture: {', '.join(sorted(lost))}")


def _replies(hook: Hook) -> str:
    codes = {c: hook.effects[c].code for c in (OK, DECLINED, DENY) if c in hook.effects}
    good, none, bad = codes.get(OK, 0), codes.get(DECLINED, 0), codes.get(DENY, 0)
    words = [str(good)] if good else []
    if none and none != good:
        words.append(f"{none} if no plugin takes it")
    if bad not in (0, good, none):
        words.append(f"{bad} denied")
    return ", ".join(words)
