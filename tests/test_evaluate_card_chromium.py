"""The card as people see it: on a phone, on paper, in the dark, with anything in its answers, and asking nobody."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest
from cards import fake_card
from test_evaluate_card import SECTIONS

from memtune.evaluate.card import write_card

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_CHROMIUM = next((found for found in map(shutil.which, _NAMES) if found), None)

pytestmark = pytest.mark.skipif(
    _CHROMIUM is None and "CI" not in os.environ,
    reason="no chromium on this machine (Debian: apt-get install chromium)",
)

_PHONE = 360
_MEASURE = """
const page = document.documentElement, root = getComputedStyle(page);
const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('.wide') && !e.closest('svg')
  && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.tagName + '.' + e.className);
const texts = [...document.querySelectorAll('svg text')].filter(e => {
  const t = e.getBoundingClientRect(), s = e.closest('svg').getBoundingClientRect();
  return t.width && (t.left < s.left - 2 || t.right > s.right + 2);
}).map(e => e.textContent);
const small = Math.min(...[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height));
parent.document.title = JSON.stringify({
  inner: innerWidth, scroll: page.scrollWidth, wide, texts, small, title: document.title,
  sections: [...document.querySelectorAll('section')].filter(e => e.offsetHeight > 60).map(e => e.id),
  requests: performance.getEntriesByType('resource').length, scripts: document.scripts.length,
  ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor,
  soft: getComputedStyle(document.querySelector('figcaption')).color,
});
"""


def _chromium(folder: Path, *arguments: str) -> str:
    """What it prints. Its own settings and cache lie in the folder as well."""
    assert _CHROMIUM is not None, "CI needs chromium"
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    quiet = ["--disable-background-networking", "--no-first-run", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run([_CHROMIUM, *fixed, *quiet, *arguments], capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8", "replace")


def _measured(folder: Path, card: str, width: int, *arguments: str) -> dict[str, object]:
    """The card in a frame of this width, for windows may not be as narrow as phones.

    Only here it may run a script, the one that measures: its policy is taken out.
    """
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", card)
    framed = free.replace("</body>", f"<script>{_MEASURE}</script></body>")
    outer = folder / f"frame-{width}.html"
    frame = f'<iframe style="border:0;width:{width}px;height:800px" srcdoc="{escape(framed)}"></iframe>'
    outer.write_text(f"<!DOCTYPE html><title>waiting</title><body>{frame}</body>", encoding="utf-8")
    shown = _chromium(folder, "--window-size=1400,900", *arguments, "--dump-dom", outer.as_uri())
    title = re.search("<title>(.*?)</title>", shown, re.DOTALL)
    assert title is not None
    found: dict[str, object] = json.loads(unescape(title[1]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chromium")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    return write_card(fake_card(), folder / "plain")[2]


@pytest.fixture(scope="module")
def hostile(folder: Path) -> Path:
    return write_card(fake_card(hostile=True), folder / "hostile")[2]


@pytest.mark.parametrize("width", [320, _PHONE, 1280])
@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_nothing_overflows(folder: Path, which: str, width: int, request: pytest.FixtureRequest) -> None:
    found = _measured(folder, request.getfixturevalue(which).read_text(encoding="utf-8"), width)
    assert found["inner"] == width
    assert found["scroll"] == width
    assert found["wide"] == []
    assert found["texts"] == []
    assert found["sections"] == list(SECTIONS)
    if width == _PHONE:
        assert float(str(found["small"])) >= 10


def test_the_measure_sees_what_overflows(folder: Path, plain: Path) -> None:
    card = plain.read_text(encoding="utf-8").replace("<main>", "<main><p style='width:900px'>wide</p>")
    found = _measured(folder, card, _PHONE)
    assert found["scroll"] != _PHONE
    assert found["wide"] == ["P."]


def test_no_text_runs_and_no_request_leaves(folder: Path, hostile: Path) -> None:
    """With its policy taken out, so that it is the escaping that holds."""
    found = _measured(folder, hostile.read_text(encoding="utf-8"), _PHONE)
    assert found["requests"] == 0
    assert found["scripts"] == 1  # the one that measures
    assert str(found["title"]).startswith("<script>document.title='taken over'</script>")


def test_the_policy_stops_what_escaping_would_let_through(folder: Path, plain: Path) -> None:
    card = plain.read_text(encoding="utf-8").replace("<main>", "<main><script>document.title='taken over'</script>")
    broken = folder / "broken.html"
    broken.write_text(card, encoding="utf-8")
    assert "<title>taken over</title>" not in _chromium(folder, "--dump-dom", broken.as_uri())


def test_the_browser_asks_no_server(folder: Path, hostile: Path) -> None:
    log = folder / "net.json"
    _chromium(folder, f"--log-net-log={log}", "--dump-dom", hostile.as_uri())
    assert "example.org" not in log.read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out(folder: Path, plain: Path, dark: bool) -> None:
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    found = _measured(folder, plain.read_text(encoding="utf-8"), _PHONE, *scheme)
    paper = _light(str(found["paper"]))
    assert (paper < 0.05) == dark
    assert _contrast(_light(str(found["ink"])), paper) >= 7
    assert _contrast(_light(str(found["soft"])), paper) >= 4.5


def test_on_paper(folder: Path, hostile: Path) -> None:
    """Light also where the screen is dark, on sheets of A4."""
    out = folder / "card.pdf"
    _chromium(folder, "--blink-settings=preferredColorScheme=0", f"--print-to-pdf={out}", hostile.as_uri())
    found = out.read_bytes()
    assert found.startswith(b"%PDF-")
    assert 5 < len(re.findall(rb"/Type\s*/Page\b", found)) < 25
    assert re.search(rb"/MediaBox\s*\[0 0 59[45]\S* 84[12]\S*\]", found)


def test_a_screenshot_can_be_taken(folder: Path, plain: Path) -> None:
    out = folder / "card.png"
    _chromium(folder, "--window-size=1200,900", f"--screenshot={out}", plain.as_uri())
    assert out.stat().st_size > 20_000


def _light(colour: str) -> float:
    """Relative luminance of `rgb(…)`."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(weight * s for weight, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
