// Keeps each message as a file of the folder that config/keep.ini names.

const fs = require('node:fs')
const { finished } = require('node:stream/promises')

exports.register = function () {
    this.folder = this.config.get('keep.ini').main.folder
}

exports.hook_queue = function (next, connection) {
    const { uuid, message_stream } = connection.transaction
    const path = `${this.folder}/${uuid}.eml`
    const file = fs.createWriteStream(path, { flags: 'wx', flush: true })
    finished(file).then(() => sync(this.folder)).then(
        () => next(OK, 'Kept'),
        (error) => {
            connection.logerror(this, error.message)
            next(DENYSOFT, 'Try again later')
        },
    )
    message_stream.pipe(file, { line_endings: '\n' })
}

// OK promises that a crash loses neither the message (flush) nor, in the folder, its name.
async function sync(folder) {
    const handle = await fs.promises.open(folder)
    await handle.sync().finally(() => handle.close())
}
