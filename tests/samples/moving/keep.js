// Keeps each message as a file of the folder that config/keep.ini names.

const fs = require('node:fs')
const { finished } = require('node:stream')

exports.register = function () {
    this.folder = this.config.get('keep.ini').main.folder
}

exports.hook_queue = function (next, connection) {
    const { uuid, message_stream } = connection.transaction
    const path = `${this.folder}/${uuid}.eml`
    const file = fs.createWriteStream(path, { flags: 'wx', flush: true })
    finished(file, (error) => {
        if (error) connection.logerror(this, error.message)
        next(error ? DENYSOFT : OK, error ? 'Try again later' : 'Kept')
    })
    message_stream.pipe(file, { line_endings: '\n' })
}
