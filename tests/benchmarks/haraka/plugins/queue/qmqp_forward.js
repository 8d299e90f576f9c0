// Forwards each message over QMQP to one server, as qpsdk's plugin of this name does.
//
// QMQP wants the length first, and to know it message_stream would have to turn all line ends twice:
// so the message is collected in memory.

'use strict'

const net = require('node:net')

exports.register = function () {
    const settings = this.config.get('qmqp_forward.ini')
    this.server = { host: settings.main.host, port: Number(settings.main.port) }
}

exports.hook_queue = function (next, connection) {
    const { message_stream, mail_from, rcpt_to } = connection.transaction
    message_stream.get_data({ line_endings: '\n' }, (message) => {
        const parts = [message, ...[mail_from, ...rcpt_to].map((a) => Buffer.from(a.address))]
        const inner = parts.flatMap(netstring)
        const length = inner.reduce((sum, part) => sum + part.length, 0)
        const answer = []
        let failure = 'closed without an answer'
        const socket = net.connect(this.server)
        socket.setTimeout(60_000, () => socket.destroy(new Error('no progress for 60 s')))
        socket.on('error', (error) => (failure = error.message))
        socket.on('data', (data) => answer.push(data))
        socket.on('close', () => this.judge(next, connection, Buffer.concat(answer), failure))
        socket.cork()
        socket.write(`${length}:`)
        for (const part of inner) socket.write(part)
        socket.write(',')
        socket.uncork()
    })
}

// Answers the client as the server did: K, Z or D.
exports.judge = function (next, connection, answer, failure) {
    const [, length, said] = /^(\d+):([KZD][^]*),$/.exec(answer.toString('latin1')) ?? []
    if (said === undefined || Number(length) !== said.length) {
        connection.logerror(this, `no usable answer: ${failure}`)
        return next(DENYSOFT, 'Try again later')
    }
    connection.loginfo(this, `${this.server.host}:${this.server.port} said ${said}`)
    next({ K: OK, Z: DENYSOFT, D: DENY }[said[0]], said.slice(1))
}

function netstring(value) {
    return [Buffer.from(`${value.length}:`), value, Buffer.from(',')]
}
