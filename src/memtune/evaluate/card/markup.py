"""HTML and SVG that cannot be broken by what is put into it: every string is escaped unless it is already markup."""

from __future__ import annotations

import re
from html import escape

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_EMPTY = ("meta", "link", "br", "hr", "rect", "line", "circle", "path", "polyline", "polygon", "use", "col")


class Markup(str):
    """A string that is markup already."""

    __slots__ = ()


def clean(text: str) -> str:
    """Without what no page and no file may hold: control characters and halves of letters."""
    return _FORBIDDEN.sub("\ufffd", text)


def safe(inner: object) -> str:
    return inner if isinstance(inner, Markup) else escape(clean(str(inner)), quote=True)


def tag(name: str, /, *inner: object, **attributes: object) -> Markup:
    """One element. An attribute that is None or False is left out; `class_` is class, `stroke_width` stroke-width."""
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY and not inner:
        return Markup(f"<{name}{said}>" if name in ("meta", "link", "br", "hr", "col") else f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{''.join(map(safe, inner))}</{name}>")


def joined(*parts: object) -> Markup:
    return Markup("\n".join(safe(part) for part in parts if part))


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{_number(value) if isinstance(value, float) else safe(value)}"'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
