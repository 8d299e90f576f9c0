"""Takes recipients in our domains, and any recipient from clients that may relay."""

from qpsdk import DENY, OK, Address, Parameters, Plugin, Result, Transaction


class RcptOk(Plugin):
    """Accept what is for `config/rcpthosts`, or comes from a relay client.

    A line of `rcpthosts` is a domain, or with a leading dot all its subdomains; a long list may
    go on in `morercpthosts`. `me` is one of ours without saying. Load it last of the plugins that
    look at recipients: it refuses what is left.
    """

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        """OK for a domain of ours, else DENY."""
        host = recipient.host.decode("utf-8", "replace").lower()
        if not host:  # only <postmaster> comes without a domain (RFC 5321, 4.5.1)
            return OK
        if transaction.connection.relay_client:
            return OK
        files = ("me", "rcpthosts", "morercpthosts")
        ours = {domain.lower() for name in files for domain in self.config(name)}
        if host in ours:
            return OK
        labels = host.split(".")
        if not ours.isdisjoint("." + ".".join(labels[n:]) for n in range(1, len(labels))):
            return OK
        return DENY, "Relaying denied"
