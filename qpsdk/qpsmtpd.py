"""What became of qpsmtpd's plugins and settings: `qpsdk check` tells it, and the site has a page.

Only those stand here that are not found as they were.
"""

from typing import Final

_OWN: Final = "none is bundled: "
_ASK: Final = f"{_OWN}write one that asks the server, as docs/how-to/ask-another-service.md shows"
_DNS: Final = f"{_OWN}write one that asks DNS, as the bundled dnsbl does"
_DELETE: Final = "delete the line: "
_PASSWORDS: Final = (
    f"{_OWN}auth/auth_flat_file has a file of hashes; write one with a hook auth_plain for another"
)
_SCANNER: Final = f"{_OWN}write one with a hook data_post that gives the message to the scanner"

PLUGINS: Final = {
    # Renamed, or a part of another
    "check_earlytalker": "write earlytalker",
    "check_relay": "write relay",
    "check_norelay": "relay reads config/norelayclients: write relay, once",
    "relay_only": "write relay only",
    "check_badmailfrom": "write badmailfrom",
    "check_badmailfrom_patterns": "badmailfrom takes regular expressions: move the lines of"
    " config/badmailfrom_patterns to config/badmailfrom",
    "badmailfrom_patterns": "badmailfrom takes regular expressions: move the lines of"
    " config/badmailfrom_patterns to config/badmailfrom",
    "check_badrcptto": "write badrcptto",
    "check_badrcptto_patterns": "badrcptto takes regular expressions: move the lines of"
    " config/badrcptto_patterns to config/badrcptto",
    "badrcptto_patterns": "badrcptto takes regular expressions: move the lines of"
    " config/badrcptto_patterns to config/badrcptto",
    "check_basicheaders": "write headers",
    "denysoft_greylist": "write greylisting",
    "stunnel": "write tls, and tls:ADDRESS:465 in config/listen",
    # What the host does itself
    "check_loop": f"{_DELETE}the host refuses messages with more than 100 Received fields",
    "loop": f"{_DELETE}the host refuses messages with more than 100 Received fields",
    "hosts_allow": f"{_DELETE}config/max_connections_per_address is the limit; whom not to let in"
    " is for the firewall, or a plugin of yours with a hook pre_connection",
    "loadcheck": f"{_DELETE}max_connections, max_forwards and others limit what clients can use up",
    "noop_counter": f"{_DELETE}config/max_commands limits commands without a message",
    "connection_time": f"{_DELETE}each line of the log has its time",
    "help": f"{_DELETE}the host answers HELP; a plugin of yours with a hook help says more",
    "tls_cert": f"{_DELETE}make the certificate once, with openssl or an ACME client",
    "auth/authdeny": f"{_DELETE}an AUTH that no plugin answers with OK is refused",
    "logging/warn": f"{_DELETE}what no logging plugin takes goes to standard error, up to"
    " config/loglevel",
    "logging/connection_id": f"{_DELETE}each line has the connection's id; --log-format json has"
    " the transaction's, too",
    "logging/transaction_id": f"{_DELETE}each line has the connection's id; --log-format json has"
    " the transaction's, too",
    "logging/apache": f"{_DELETE}the log goes to standard error, or to logging/file",
    "logging/devnull": f"{_DELETE}config/loglevel says how much is logged",
    "domainkeys": f"{_DELETE}nobody signs with DomainKeys any more; DKIM has replaced it",
    "random_error": f"{_DELETE}for tests there is qpsdk.testing",
    # Queues
    "queue/qmail_queue": "write queue/qmqp_forward 127.0.0.1, and run qmail-qmqpd there",
    "queue/postfix_queue": "write queue/smtp_forward 127.0.0.1 PORT, or queue/qmqp_forward"
    " 127.0.0.1 for Postfix's own qmqpd; docs/how-to/scale-out.md has its master.cf",
    "queue/exim_bsmtp": "write queue/smtp_forward 127.0.0.1 PORT",
    "async/queue/smtp_forward": "write queue/smtp_forward: it is async",
    "async/earlytalker": "write earlytalker: it is async",
    "async/dnsbl": "write dnsbl: it is async",
    # To be written
    "async/dns_whitelist_soft": _DNS,
    "async/resolvable_fromhost": _DNS,
    "async/rhsbl": _DNS,
    "async/uribl": _DNS,
    "dns_whitelist_soft": f"{_DNS}, and sets connection.notes['whitelisthost']",
    "resolvable_fromhost": f"{_DNS}, in a hook mail",
    "require_resolvable_fromhost": f"{_DNS}, in a hook mail",
    "rhsbl": f"{_DNS}, in a hook mail, for sender.host",
    "uribl": f"{_DNS}, in a hook data_post",
    "fcrdns": f"{_OWN}await connection.resolve_remote_host() gives a name that leads back to the"
    " address, or none",
    "helo": f"{_OWN}write one with hooks helo and ehlo, which are given the name",
    "check_spamhelo": f"{_OWN}write one with hooks helo and ehlo that looks into"
    " self.config('badhelo')",
    "whitelist": "clients stand in relayclients, dnsbl_allow, greylisting_allow, ratelimit_allow"
    " and unlimited_clients",
    "karma": f"{_OWN}naughty refuses whom others marked; ratelimit limits who sends much",
    "ident/geoip": f"{_OWN}write one with a hook connect that sets a note",
    "ident/p0f": f"{_OWN}write one with a hook connect that sets a note",
    "sender_permitted_from": f"{_OWN}write one with a hook mail, over a package such as pyspf",
    "dkim": f"{_OWN}write one with a hook data_post, over a package such as dkimpy",
    "dmarc": f"{_OWN}write one with a hook data_post_headers, behind those for SPF and DKIM",
    "bogus_bounce": f"{_OWN}write one with a hook data, for an empty sender with several"
    " recipients",
    "badmailfromto": f"{_OWN}write one with a hook rcpt, which has transaction.sender",
    "rcpt_map": f"{_OWN}write one with a hook rcpt, before rcpt_ok",
    "rcpt_regexp": f"{_OWN}badrcptto takes regular expressions; to take recipients, write one with"
    " a hook rcpt",
    "qmail_deliverable": _ASK,
    "dont_require_anglebrackets": f"{_OWN}write one with hooks mail_pre and rcpt_pre",
    "parse_addr_withhelo": f"{_OWN}write one with the parsing hooks",
    "http_config": f"{_OWN}write one with a hook config",
    "content_log": f"{_OWN}write one with a hook data_post that copies the message",
    "milter": _ASK,
    "spamassassin": _SCANNER,
    "dspam": _SCANNER,
    "auth/auth_vpopmail": _PASSWORDS,
    "auth/auth_vpopmail_sql": _PASSWORDS,
    "auth/auth_vpopmaild": _PASSWORDS,
    "auth/auth_checkpassword": _PASSWORDS,
    "auth/auth_cvm_unix_local": _PASSWORDS,
    "auth/auth_ldap_bind": _PASSWORDS,
    **{
        f"virus/{name}": _SCANNER
        for name in (
            "aveclient",
            "bitdefender",
            "clamav",
            "clamdscan",
            "hbedv",
            "kavscanner",
            "klez_filter",
            "sophie",
            "uvscan",
        )
    },
}
"""qpsmtpd's plugins that have no counterpart of the same name, and what to do about each.

A dash in a name is an underscore here, as where a plugin is looked for.
"""

_NO_READER: Final = "delete it, or have a plugin of yours read it"

SETTINGS: Final = {
    "logging": "the logging plugins stand in config/plugins, first of all: move the lines there",
    "timeoutsmtpd": "write config/timeout",
    "concurrencyincoming": "write config/max_connections",
    "badmailfrom_patterns": "move its lines to config/badmailfrom",
    "badrcptto_patterns": "move its lines to config/badrcptto",
    "denysoft_greylist": "write its options on the line of greylisting in config/plugins",
    "whitelisthosts": "write greylisting_allow or dnsbl_allow",
    "dnsbl_rejectmsg": "write the text behind a colon on each line of config/dnsbl_zones",
    "tls_ciphers": "OpenSSL's defaults from TLS 1.2 on are used; see minimum= of tls",
    "hosts_allow": "config/max_connections_per_address is the limit; whom not to let in is for the"
    " firewall, or a plugin of yours",
    "relayclients.cdb": "relay reads config/relayclients",
    "morerelayclients.cdb": "relay reads config/morerelayclients",
    "morercpthosts.cdb": "rcpt_ok reads config/morercpthosts",
    "rcpt_regexp": _NO_READER,
    "rcpt_map": _NO_READER,
    "badhelo": _NO_READER,
    "rhsbl_zones": _NO_READER,
    "uribl_zones": _NO_READER,
    "whitelistsenders": _NO_READER,
    "whitelisthelo": _NO_READER,
    "whitelistrcpt": _NO_READER,
    "badmailfromto": _NO_READER,
    "whitelist_zones": _NO_READER,
    "uribl_whitelist_domains": _NO_READER,
    "spfbehavior": _NO_READER,
    "subject_prefix": _NO_READER,
    "ldap": _NO_READER,
    "hbedv_deny": _NO_READER,
    "kav_deny": _NO_READER,
    "cleanup_sockets": "delete it: nothing here needs it",
    "vpopmail_mysql_dsn": _NO_READER,
    "vpopmail_mysql_user": _NO_READER,
    "vpopmail_mysql_pass": _NO_READER,
    "resolvable_fromhost": _NO_READER,
    "invalid_resolvable_fromhost": _NO_READER,
    "spf_deny": _NO_READER,
    "spamassassin": _NO_READER,
    "smtpauth-checkpassword": _NO_READER,
    "auth_vpopmaild": _NO_READER,
    "qmail_deliverable": _NO_READER,
}
"""qpsmtpd's settings that nothing reads here, and what to do about each."""


def advice(plugin: str) -> str:
    """What to do about a plugin of qpsmtpd that is not found here; nothing of others.

    >>> advice("queue/exim-bsmtp")
    'write queue/smtp_forward 127.0.0.1 PORT'
    """
    return PLUGINS.get(plugin.replace("-", "_"), "")
