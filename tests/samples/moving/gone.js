// Refuses mail for people who have left, and takes all other.

const GONE = new Set(['ann@example.org', 'bob@example.org'])

exports.hook_rcpt = function (next, connection, params) {
    const recipient = params[0]
    if (GONE.has(recipient.address)) return next(DENY, 'They no longer work here')
    next(OK)
}
