// Refuses mail for people who have left, and takes all other.

const GONE = new Set(['ann@example.org', 'bob@example.org'])

exports.hook_rcpt = function (next, connection, params) {
    const { user, host } = params[0]  // the host is in lower case
    if (GONE.has(`${user}@${host}`)) return next(DENY, 'They no longer work here')
    next(OK)
}
