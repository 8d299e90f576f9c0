"""``python -m qpsdk`` is the command ``qpsdk``."""

from qpsdk.cli import main

main()
