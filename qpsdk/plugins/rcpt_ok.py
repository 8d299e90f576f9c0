"""Takes recipients in our domains, and any recipient from clients that may relay.

In `config/plugins`, last of the plugins that look at recipients, since it refuses what is left::

    rcpt_ok [routes=deny|allow]

Each line of `rcpthosts` and `morercpthosts` is a domain, or with a leading dot all its
subdomains; `me` is one of ours without saying.

Many servers read ``b%other.example@example.com`` as a route: to us, and on to b at other.example.
`!` and, in quotes, `@` are read so, too. The server behind us trusts us, so whoever may write such
a recipient may send through us to anywhere. It is refused, as Postfix and Exim do with strangers.
With ``routes=allow`` it is taken like any other: make sure that the server behind knows no routes.

It teaches the one hook without which no mail is accepted, and how a plugin reads settings.
"""

from collections.abc import Iterator

from qpsdk import (
    DENY,
    LOGWARN,
    OK,
    Address,
    AddressError,
    Host,
    Parameters,
    Plugin,
    Result,
    Transaction,
)

FILES = ("me", "rcpthosts", "morercpthosts")
ROUTE = frozenset(b"@%!")
NO_DOMAIN = (
    "neither rcpthosts nor morercpthosts has a domain, so whoever may not relay is refused every"
    " recipient but those of me"
)


class RcptOk(Plugin):
    """Accept what is for a domain of ours, or comes from a relay client."""

    takes_routes = False

    def register(self, qp: Host, *, routes: str = "deny") -> None:
        """Check option and settings: a wrong value stops the host from starting."""
        if routes not in ("deny", "allow"):
            raise ValueError(f"routes={routes}: write deny or allow")
        self.takes_routes = routes == "allow"
        _, *lists = [self.parse_config(name, domains) for name in FILES]
        if not any(lists):
            self.log(LOGWARN, NO_DOMAIN)

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        """OK for a domain of ours, else DENY."""
        host = recipient.host.decode("utf-8", "replace").lower()
        if not host:  # only <postmaster> comes without a domain (RFC 5321, 4.5.1)
            return OK
        if transaction.connection.relay_client:
            return OK
        names, rest = [host], host
        while rest:  # example.com, .com
            _, dot, rest = rest.partition(".")
            names.append(dot + rest)
        if all(self.parse_config(name, domains).isdisjoint(names) for name in FILES):
            return DENY, "Relaying denied"
        # The local part is for its domain to read (RFC 5321, 2.3.11): what is behind us does.
        if not (self.takes_routes or ROUTE.isdisjoint(recipient.user)):
            return DENY, "Relaying denied: there is a @, % or ! before the domain"
        return OK


def domains(lines: Iterator[str]) -> frozenset[str]:
    """Read lines of `rcpthosts`."""
    return frozenset(domain(line) for line in lines)


def domain(text: str) -> str:
    """Read one domain, with its leading dot.

    >>> domain(".Example.com"), domain("[192.0.2.1]")
    ('.example.com', '[192.0.2.1]')
    """
    try:
        Address.parse("postmaster@" + text.removeprefix("."), smtputf8=True)
    except AddressError:
        raise ValueError(
            f"{text!r} is no domain; write example.com, or .example.com for all below it"
        ) from None
    return text.lower()
