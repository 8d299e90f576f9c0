"""The lab: a real host before a fake QMQP server, with every message shown as it passes.

`display` says what is to be seen, to a terminal and to the `page` that a browser opens beside the
tutorial; `client` sends it messages; `rooms` starts and stops it all. The console of the tutorial,
which runs in the browser, has the same display.
"""
