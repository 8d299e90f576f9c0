"""The site builds without a warning, and its pages ask no other host for anything."""

import platform
import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import qpsdk
import qpsdk.testing
from tests.site.rig import ROOT

LOADS = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
"""The attributes whose address a browser fetches by itself; a reader's click is no such thing."""

PAGES_OF_THEIR_OWN = {"qpsdk.netstring", "qpsdk.qmqp", "qpsdk.__version__"}

ELSEWHERE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


def test_make_docs() -> None:
    """make knows all that the page is made from, and opens nothing: no name has a space in it."""
    made = subprocess.run(
        ["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "jupyter" not in made.stdout


class _Loads(HTMLParser):
    """Collects the addresses that a page makes a browser fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "link" and found.get("rel") in {"canonical", "next", "prev"}:
            return  # these say where a page is, and load nothing
        self.addresses.append(found.get(LOADS.get(tag, "")) or "")
        self.addresses += re.findall(r"url\(['\"]?([^'\")]+)", found.get("style") or "")


def loads(site: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the site with each address that it makes a browser fetch."""
    for path in site.rglob("*.html"):
        for address in _Loads(path.read_text()).addresses:
            yield path, address
    for path in site.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import\s)\s*['\"]?([^'\")]+)", path.read_text()):
            yield path, address


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures all come with the site."""
    found = list(loads(site))
    assert found
    assert [(path, address) for path, address in found if ELSEWHERE.match(address)] == []


class _Links(HTMLParser):
    """Collects where a page's links lead, and what in it can be led to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places = {""}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.places |= {found.get("id") or "", (found.get("name") if tag == "a" else "") or ""}
        if tag == "a" and (link := found.get("href")):
            self.links.append(link)


def test_links_lead_somewhere(site: Path) -> None:
    """Each link inside the site has its file, and its place there; also in generated pages."""
    pages = {path: _Links(path) for path in site.rglob("*.html")}
    lost: list[str] = []
    for path, page in pages.items():
        for link in page.links:
            address, _, place = link.partition("#")
            if ELSEWHERE.match(address) or address.startswith("mailto:"):
                continue
            base = site if address.startswith("/") else path.parent
            target = (base / unquote(address).lstrip("/")).resolve() if address else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or (target in pages and place not in pages[target].places):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert lost == []


def text(page: Path) -> str:
    """What a page says, without its markup."""
    return re.sub(r"<[^>]*>", "", page.read_text())


def test_readme_is_the_quick_start(site: Path) -> None:
    """Both parts of README that the quick start takes over arrive there."""
    page = text(site / "quick-start/index.html")
    assert "make test" in page
    assert "import smtplib" in page


def test_included_files_are_shown(site: Path) -> None:
    """A page that includes a file has its text: no formatter has broken the line that says so."""
    page = text(site / "how-to" / "from-qpsmtpd" / "index.html")
    for name in ("MyRcptCheck(Plugin)", "RcptOkChild(RcptOk)", "NewCommand(Plugin)"):
        assert f"class {name}:" in page


def test_public_names_have_a_place(site: Path) -> None:
    """Each public name is an anchor of the reference, where links to it go."""
    pages = [page.read_text() for page in (site / "reference").rglob("*.html")]
    anchors = set(re.findall(r'id="(qpsdk[\w.]*)"', "".join(pages)))
    for module in (qpsdk, qpsdk.netstring, qpsdk.qmqp, qpsdk.testing):
        names = {f"{module.__name__}.{name}" for name in module.__all__}
        assert names - anchors - PAGES_OF_THEIR_OWN == set()


def test_docstrings_are_shown_as_meant(site: Path) -> None:
    """A doctest is code and no quotation, and what is raised leads to its exception."""
    page = (site / "reference/api/netstring/index.html").read_text()
    assert "<blockquote>" not in page
    assert '<span class="gp">&gt;&gt;&gt; </span>' in page
    assert 'href="../errors/#qpsdk.NetstringError"' in page


def test_every_page_says_its_version(site: Path) -> None:
    """At the foot of a page is the version of the package that it was made and tested with."""
    stamp = f"qpsdk {qpsdk.__version__}, run on Python {platform.python_version()}"
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    assert [page for page in pages if stamp not in page.read_text()] == []


def test_pictures_are_in_their_pages(site: Path) -> None:
    """Each picture is drawn where a page asks for it."""
    for page, name in (
        ("reference/order", "states"),
        ("reference/hooks", "dispatch"),
        ("explanation/qmqp", "package"),
        ("explanation/qmqp", "tail"),
        ("explanation/design", "way"),
        ("how-to/scale-out", "fleet"),
        ("", "place"),
        ("tutorial/01_the_dialogue", "lifetimes"),
        ("tutorial/04_qmqp", "turns"),
        ("tutorial/04_qmqp", "tail"),
        ("tutorial/06_streaming", "pressure"),
        ("tutorial/10_in_production", "production"),
    ):
        html = (site / page / "index.html").read_text()
        assert f'<div class="diagram" id="diagram-{name}" tabindex="0">\n<svg viewBox=' in html


def test_a_notebook_page_shows_what_its_cells_print(site: Path) -> None:
    """The tutorial carries its code and the recorded output without JavaScript."""
    page = text(site / "tutorial/00_five_minutes/index.html")
    assert "class Quiet(Plugin):" in page
    assert "S: 550 5.7.1 we like it quiet here" in page


def test_chapters_can_be_taken_home(site: Path) -> None:
    """Beside each chapter's page are its notebook, with output, its Python and its program."""
    for notebook in (ROOT / "notebooks").glob("*.py"):
        page = (site / f"tutorial/{notebook.stem}/index.html").read_text()
        for name in (f"{notebook.stem}.ipynb", f"{notebook.stem}.py"):
            assert f'href="../{name}"' in page
        assert '"outputs"' in (site / f"tutorial/{notebook.stem}.ipynb").read_text()
        assert (site / f"tutorial/{notebook.stem}.py").read_text() == notebook.read_text()
    for program in (ROOT / "notebooks/programs").glob("*.py"):
        assert (site / "tutorial/programs" / program.name).read_text() == program.read_text()


def test_drawings_and_answers_are_in_the_page(site: Path) -> None:
    """A package is drawn in HTML, and an answer waits, folded, with its code in colours."""
    page = (site / "tutorial/04_qmqp/index.html").read_text()
    assert '<span style="opacity:.8;font-style:italic">  recipient</span>' in page
    assert page.count('<details class="success">') == 3
    answer = page.partition("<summary>Answer</summary>")[2].partition("</details>")[0]
    assert '<span class="nb">print</span>' in answer
    assert "~~~~" not in page
