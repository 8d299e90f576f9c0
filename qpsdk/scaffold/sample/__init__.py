"""What `qpsdk new` writes, as code that is run here: the method of each hook, and its tests.

A new project gets the methods of the hooks that were asked for, with what these need. So each hook
has its example once, and it is linted, typed and tested as all else is.
"""
