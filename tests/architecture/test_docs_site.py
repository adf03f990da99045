"""The documentation as a site: it builds, and asks no other host for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FETCHING = {"src", "srcset", "data", "poster", "action"}
"""Attributes whose address a browser fetches, or sends to, by itself."""
LINK = "link"
ON_DEMAND = {"mermaid", "glightbox", "pyodide"}
"""Classes at whose sight the theme's script fetches a library from elsewhere."""
ELSEWHERE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
IN_CSS = re.compile(r"@import\s+[\"']?([^\"';]+)|url\(\s*[\"']?([^\"')]+)", re.IGNORECASE)


class Fetches(HTMLParser):
    """Collects what a page would fetch from another host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            fetched = name in FETCHING or (name == "href" and tag in {LINK, "image", "use"})
            if fetched and ELSEWHERE.match(value or ""):
                self.found.append(f"<{tag} {name}={value}>")
            if name == "style":
                self.found += in_css(value or "")
            if name == "class" and ON_DEMAND & set((value or "").split()):
                self.found.append(f"<{tag} class={value}>")

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() in {"<style>", None}:
            self.found += in_css(data)


def in_css(text: str) -> list[str]:
    """What a style sheet would fetch from another host."""
    addresses = [first or second for first, second in IN_CSS.findall(text)]
    return [it for it in addresses if ELSEWHERE.match(it)]


def fetched_from_elsewhere(site: Path) -> list[str]:
    """Each fetch from another host with the page or style sheet that asks for it."""
    return [f"{page.relative_to(site)}: {it}" for page in pages(site) for it in of_page(page)]


def pages(site: Path) -> Iterator[Path]:
    """Pages and style sheets."""
    yield from sorted([*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")])


def of_page(page: Path) -> list[str]:
    """What one file would fetch from another host."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".css":
        return in_css(text)
    parser = Fetches()
    parser.feed(text)
    return parser.found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly from a copy: a broken link or picture fails the build."""
    tree = tmp_path_factory.mktemp("docs")
    for folder in ("docs", "dev"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", tree)
    build = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(build, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return tree / "site"


def test_every_page_is_built(site: Path) -> None:
    """Every Markdown file of docs/ is a page of the site."""
    wanted = {it.relative_to(ROOT / "docs") for it in (ROOT / "docs").rglob("*.md")}
    built = {it.relative_to(site) for it in site.rglob("*.html")}
    index = {it.with_name("index.html") if it.stem == "README" else it for it in wanted}
    assert {it.with_suffix(".html") for it in index} <= built


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """No page and no style sheet makes a browser ask another host for anything."""
    assert fetched_from_elsewhere(site) == []


def test_pictures_are_drawn_when_the_site_is_built(site: Path) -> None:
    """Mermaid has become SVG; no page leaves it to a script."""
    page = (site / "architecture.html").read_text()
    assert '<div class="diagram"><svg' in page
    assert "flowchart TB" not in page


@pytest.mark.parametrize(
    "planted",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img srcset="https://img.example/a.png 2x">',
        '<div style="background: url(https://img.example/b.png)"></div>',
        '<style>@import "https://fonts.example/c.css";</style>',
        '<pre class="mermaid">graph TD</pre>',
    ],
)
def test_a_planted_fetch_is_found(tmp_path: Path, planted: str) -> None:
    """Each way in which a page can ask another host is seen; a plain link is none."""
    (tmp_path / "page.html").write_text(f'<a href="https://example.org/">a link</a>{planted}')
    assert len(fetched_from_elsewhere(tmp_path)) == 1


def test_a_planted_fetch_in_a_style_sheet_is_found(tmp_path: Path) -> None:
    """A font from elsewhere in a style sheet is seen; one of the site's own is none."""
    (tmp_path / "a.css").write_text("@font-face { src: url('https://fonts.example/f.woff2') }")
    (tmp_path / "b.css").write_text("@font-face { src: url('../fonts/f.woff2') }")
    assert fetched_from_elsewhere(tmp_path) == ["a.css: https://fonts.example/f.woff2"]
