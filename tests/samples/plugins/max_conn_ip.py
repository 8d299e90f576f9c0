"""Counts the connections of each address, before and after: ``max_conn_ip 5``."""

from collections import Counter

from qpsdk import DECLINED, DENYSOFT, Connection, Host, Plugin, Result


class MaxConnIp(Plugin):
    def register(self, qp: Host, most: str) -> None:
        self._most = int(most)
        self._open: Counter[str] = Counter()

    def hook_pre_connection(self, connection: Connection) -> Result:
        self._open[connection.remote_ip] += 1
        if self._open[connection.remote_ip] > self._most:
            return DENYSOFT, "Too many connections from you"
        return DECLINED

    def hook_post_connection(self, connection: Connection) -> None:
        self._open[connection.remote_ip] -= 1
