"""Says what it did in one line of the log: pass, fail, or skip."""

from qpsdk import DECLINED, DENY, LOGDEBUG, LOGINFO, Connection, Plugin, Result


class Disposition(Plugin):
    def hook_helo(self, connection: Connection, host: bytes) -> Result:
        self.log(LOGDEBUG, "looking at", host)
        if connection.relay_client:
            self.log(LOGINFO, "skip: a client of ours")
        elif b"." not in host:
            self.log(LOGINFO, "fail: no full name")
            return DENY, "give your full name"
        else:
            self.log(LOGINFO, "pass")
        return DECLINED
