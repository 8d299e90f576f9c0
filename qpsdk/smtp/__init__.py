"""SMTP as a server speaks it, without I/O: bytes in, events out, replies in, bytes out.

`events` are what a client may do, `steps` is the table of when it may, `commands` the grammar
of a line, `data` the decoder of a message, `sasl` the exchange that follows AUTH, and `engine`
puts them together.
"""
