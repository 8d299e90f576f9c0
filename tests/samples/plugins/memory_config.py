"""Settings, and those of users, from elsewhere than files."""

from qpsdk import DECLINED, OK, Address, Host, Parameters, Plugin, Result, Transaction


class MemoryConfig(Plugin):
    def register(self, qp: Host) -> None:
        self._known = {"databytes": ["20"], "greeting": ["hello", "everybody"]}
        self._users = {(b"you@example.com", "greeting"): ["hello, you"]}

    def hook_config(self, name: str) -> Result:
        return (OK, self._known[name]) if name in self._known else DECLINED

    def hook_user_config(self, address: Address, name: str) -> Result:
        key = (address.address, name)
        return (OK, self._users[key]) if key in self._users else DECLINED

    def hook_rcpt(self, transaction: Transaction, recipient: Address, params: Parameters) -> Result:
        return OK, " ".join(self.user_config(recipient, "greeting"))
