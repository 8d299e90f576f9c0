"""One target under libFuzzer: `python -m tests.fuzz.run TARGET [libFuzzer's options]`."""

import importlib
import sys


def main() -> None:
    """Never returns."""
    # Here, since pytest looks for doctests in all modules of this folder; and it has no types.
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["qpsdk"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    name = sys.argv[1]
    # libFuzzer starts itself anew to merge, by a shell and its first argument.
    again = f"{sys.executable} -m tests.fuzz.run {name}"
    atheris.Setup([again, *sys.argv[2:]], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
