"""The samples of qpsmtpd's documentation, translated: `tests/samples/*.smtp` run them."""

from pathlib import Path

from qpsdk.testing.transcripts import parse

FOLDER = Path(__file__).parent / "samples"


def test_every_sample_is_run() -> None:
    """Each plugin in tests/samples/plugins is in a dialogue."""
    used = {
        line.text.split()[0].partition(":")[0]
        for path in FOLDER.glob("*.smtp")
        for transcript in parse(path.read_text(), path)
        for line in transcript.header.plugins
    }
    assert {path.stem for path in (FOLDER / "plugins").glob("*.py")} <= used
