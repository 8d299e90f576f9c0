"""The hook table, where the dialogue's own table (test_session.py) does not show it."""

import pytest

from qpsdk import DECLINED, DENY, DENY_DISCONNECT, DENYSOFT, DENYSOFT_DISCONNECT, DONE, OK
from qpsdk.finder import PluginLine, bundled_plugins, find
from qpsdk.hooks import GO_ON, HOOKS, Effect, hook_name

# hook, what a plugin is given; in the order in which a message meets them
ARGUMENTS = """
pre_connection       connection
connect              connection
helo_parse           connection
helo                 connection host
ehlo_parse           connection
ehlo                 connection host
auth_parse           connection
auth_plain           connection mechanism user password hashed ticket
auth_login           connection mechanism user password hashed ticket
auth_cram_md5        connection mechanism user password hashed ticket
auth                 connection mechanism user password hashed ticket
mail_parse           connection
mail_pre             transaction address params
mail                 transaction sender params
rcpt_parse           connection
rcpt_pre             transaction address params
rcpt                 transaction recipient params
data                 transaction
data_headers_end     transaction
data_post_headers    transaction
received_line        transaction smtp auth tls
data_post            transaction
queue_pre            transaction
queue                transaction
queue_post           connection answer
reset_transaction    transaction
vrfy                 connection text
noop                 connection text
help                 connection text
unrecognized_command connection command arguments
quit                 connection
disconnect           connection
post_connection      connection
deny                 connection transaction hook plugin constant message
ok                   connection transaction hook plugin constant message
logging              connection transaction level hook plugin text
config               name
user_config          address name
post_fork
"""

ROWS = [line.split() for line in ARGUMENTS.strip().splitlines()]


def test_order() -> None:
    """The hooks are those, in that order, each under its own name."""
    assert list(HOOKS) == [name for name, *_ in ROWS]
    assert [hook.name for hook in HOOKS.values()] == list(HOOKS)


@pytest.mark.parametrize(("name", "arguments"), [(name, rest) for name, *rest in ROWS], ids=str)
def test_arguments(name: str, arguments: list[str]) -> None:
    """Each hook gives what the documentation says, and says when it runs in one sentence."""
    assert list(HOOKS[name].arguments) == arguments
    assert HOOKS[name].meaning[0].isupper()
    assert HOOKS[name].meaning.endswith(".")


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("mail_pre", {OK, DECLINED}),
        ("rcpt_pre", {OK, DECLINED}),
        ("received_line", {OK, DECLINED}),
        ("helo_parse", {OK, DECLINED}),
        ("ehlo_parse", {OK, DECLINED}),
        ("auth_parse", {OK, DECLINED}),
        ("mail_parse", {OK, DECLINED}),
        ("rcpt_parse", {OK, DECLINED}),
        ("logging", {OK, DECLINED}),
        ("config", {OK, DECLINED}),
        ("user_config", {OK, DECLINED}),
        ("data_headers_end", {OK, DECLINED, DENY_DISCONNECT, DENYSOFT_DISCONNECT}),
        ("data_post_headers", {OK, DECLINED, DENY, DENYSOFT}),
        ("queue_pre", {OK, DECLINED, DONE}),
        ("queue", {OK, DECLINED, DENY, DENYSOFT, DONE}),
        ("vrfy", {OK, DECLINED, DENY, DONE}),
        ("noop", {OK, DECLINED, DENY, DENY_DISCONNECT, DONE}),
        ("help", {OK, DECLINED, DENY, DONE}),
        ("unrecognized_command", {OK, DECLINED, DENY, DENY_DISCONNECT, DONE}),
        ("quit", {OK, DECLINED, DONE}),
    ],
)
def test_constants_taken(name: str, constants: set[object]) -> None:
    """A hook takes these constants, and no others."""
    assert set(HOOKS[name].effects) == constants


@pytest.mark.parametrize("name", ["mail_pre", "rcpt_pre", "received_line", "queue_pre"])
def test_silent_hooks(name: str) -> None:
    """Where nothing is answered to the client, every constant lets the dialogue go on."""
    assert set(HOOKS[name].effects.values()) == {GO_ON}


def test_done_sends_nothing() -> None:
    """DONE is taken where the documentation has it, and sends nothing of ours."""
    takes = {name for name, hook in HOOKS.items() if DONE in hook.effects}
    assert takes == {
        *("connect", "helo", "ehlo", "mail", "rcpt", "data", "data_post", "queue_pre", "queue"),
        *("vrfy", "noop", "help", "unrecognized_command", "quit"),
    }
    assert all(HOOKS[name].effects[DONE] == GO_ON for name in takes)


def test_ignored_hooks() -> None:
    """These change nothing, whatever they answer."""
    ignored = {name for name, hook in HOOKS.items() if hook.ignored}
    assert ignored == {
        *(
            "queue_post",
            "reset_transaction",
            "disconnect",
            "post_connection",
            "deny",
            "ok",
            "post_fork",
        ),
    }
    assert all(not HOOKS[name].effects for name in ignored)


def test_time_limits() -> None:
    """A plugin has 30 s, in queue 540 s: less than the 10 minutes that a client waits."""
    assert {name: hook.time_limit for name, hook in HOOKS.items() if hook.time_limit != 30} == {
        "queue": 540
    }


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("mail", "mail"),
        ("post-connection", "post_connection"),
        ("data-post_headers", "data_post_headers"),
    ],
)
def test_hook_name(written: str, name: str) -> None:
    """A dash and an underscore are the same in a hook's name."""
    assert hook_name(written) == name


# Replies

REFUSAL = Effect(550, "5.7.1", "Not accepted here")
GREETING = Effect(220, "", "{me} ready", fixed=True)
CLOSING = Effect(421, "4.7.1", "{me} Closing", close=True, fixed=True)


@pytest.mark.parametrize(
    ("effect", "message", "reply"),
    [
        (REFUSAL, None, b"550 5.7.1 Not accepted here\r\n"),
        (REFUSAL, "", b"550 5.7.1 Not accepted here\r\n"),
        (REFUSAL, b"", b"550 5.7.1 Not accepted here\r\n"),
        (REFUSAL, "go away", b"550 5.7.1 go away\r\n"),
        (REFUSAL, b"go away", b"550 5.7.1 go away\r\n"),
        (REFUSAL, "gr\u00fc\u00df", b"550 5.7.1 gr??\r\n"),
        (REFUSAL, b"gr\xfc\xdf", b"550 5.7.1 gr??\r\n"),
        (REFUSAL, "one\ntwo", b"550-5.7.1 one\r\n550 5.7.1 two\r\n"),
        (REFUSAL, "5.1.1 nobody", b"550 5.1.1 nobody\r\n"),
        (REFUSAL, "{me} {0} {", b"550 5.7.1 {me} {0} {\r\n"),
        (REFUSAL, ValueError("no good"), b"550 5.7.1 no good\r\n"),
        (REFUSAL, ["a"], b"550 5.7.1 ['a']\r\n"),
        (REFUSAL, 7, b"550 5.7.1 7\r\n"),
        (GREETING, None, b"220 mx.example.com ready\r\n"),
        (GREETING, "hello", b"220 mx.example.com ready\r\n"),
        (CLOSING, None, b"421 4.7.1 mx.example.com Closing\r\n"),
        (
            CLOSING,
            "{bye}\nnow",
            b"421-4.7.1 mx.example.com Closing\r\n421-4.7.1 {bye}\r\n421 4.7.1 now\r\n",
        ),
        (CLOSING, b"bye", b"421-4.7.1 mx.example.com Closing\r\n421 4.7.1 bye\r\n"),
    ],
    ids=str,
)
def test_reply(effect: Effect, message: object, reply: bytes) -> None:
    """A message replaces the text, but never one that begins with our name; a 421's goes below."""
    assert bytes(effect.reply("mx.example.com", message)) == reply


@pytest.mark.parametrize("me", ["{me}", "{", "{0}", "%s", "{x.y}"])
def test_host_name_with_braces(me: str) -> None:
    """The host's name is put in as it is."""
    assert bytes(GREETING.reply(me)) == f"220 {me} ready\r\n".encode()
    assert bytes(CLOSING.reply(me, "x")).startswith(f"421-4.7.1 {me} Closing\r\n".encode())


@pytest.mark.parametrize("name", [hook.name for hook in HOOKS.values() if hook.example])
def test_example(name: str) -> None:
    """The example of a hook is a bundled plugin that has it."""
    from qpsdk.cli.plugins import registers_more  # there is none in Pyodide

    plugin = find(PluginLine.parse(HOOKS[name].example), [])
    assert HOOKS[name].example in bundled_plugins()
    assert callable(getattr(plugin, f"hook_{name}", None)) or registers_more(plugin)


def test_examples() -> None:
    """The hooks that every host needs have an example."""
    assert (HOOKS["rcpt"].example, HOOKS["queue"].example) == ("rcpt_ok", "queue/qmqp_forward")


def test_every_hook_of_a_bundled_plugin_has_an_example() -> None:
    """A hook that a bundled plugin has names one of them."""
    for name in bundled_plugins():
        plugin = find(PluginLine.parse(name), [])
        for hook in HOOKS.values():
            if hasattr(plugin, f"hook_{hook.name}"):
                assert hook.example, f"{name} is an example of {hook.name}"
