"""The few pages that a person sees in a browser. No script, nothing fetched from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2433;--soft:#5b6478;--line:#dfe3ec;--bg:#f7f8fb;--card:#fff;
--accent:#2f5bd7;--ok:#1c7c4a;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf3;--soft:#a2abbe;--line:#2c3446;--bg:#12161f;
--card:#1a2030;--accent:#8fb0ff;--ok:#67d39b;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:52rem;margin:0 auto;padding:3rem 1.25rem}
h1{font-size:1.9rem;margin:0 0 .3rem;letter-spacing:-.01em}
h2{font-size:1rem;margin:2.2rem 0 .7rem;color:var(--soft);font-weight:600}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.lead{color:var(--soft);margin:0}
.grid{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.1rem}
.card b{font-size:1.1rem}.card p{margin:.3rem 0 0;color:var(--soft)}
.links a{margin-right:.9rem}
.ok{color:var(--ok)}.failed,.degraded{color:var(--bad)}
code{background:var(--bg);border:1px solid var(--line);border-radius:.3rem;padding:.05rem .35rem}
"""


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


def front(document: dict[str, Any]) -> str:
    """The front page: versions with their docs, events, modules with their state."""
    name, state = escape(document["name"]), escape(document["state"])
    versions = "".join(_version(n, v) for n, v in document["versions"].items())
    modules = "".join(_module(*each) for each in document["modules"].items())
    role = "" if document["role"] == "all" else f"Role: {escape(document['role'])} · "
    grid = f'<div class="grid">{versions}</div>' if versions else NO_VERSIONS
    return _page(
        document["name"],
        f'<h1>{name}</h1><p class="lead">{role}State: <span class="{state}">{state}</span> · '
        '<a href="/readyz">readiness</a> · <a href="/problems">what errors mean</a></p>'
        f"<h2>Versions</h2>{grid}"
        f"{_events(document)}"
        f'<h2>Modules</h2><div class="grid">{modules or "No module is enabled."}</div>',
    )


NO_VERSIONS = '<p class="lead">A worker delivers events and answers no API.</p>'


def _events(document: dict[str, Any]) -> str:
    """Where the description of the events is; nothing where it is not served."""
    if "asyncapi" not in document:
        return ""
    link = escape(document["asyncapi"])
    return (
        '<h2>Events</h2><div class="grid"><div class="card"><b>AsyncAPI</b>'
        f'<p class="links"><a href="{link}">schema</a></p></div></div>'
    )


def _module(name: str, state: str) -> str:
    shown = escape(state)
    return f'<div class="card"><b>{escape(name)}</b><p class="{shown}">{shown}</p></div>'


def _version(name: str, entry: dict[str, Any]) -> str:
    links = "".join(
        f'<a href="{escape(entry[key])}">{label}</a>'
        for key, label in (("docs", "try it"), ("redoc", "read it"), ("openapi", "schema"))
        if key in entry
    )
    ends = "".join(
        f"<p>{key} {escape(entry[key])}</p>" for key in ("deprecated", "sunset") if key in entry
    )
    return f'<div class="card"><b>{escape(name)}</b><p class="links">{links}</p>{ends}</div>'


def problems(document: dict[str, Any]) -> str:
    """The list of problem types."""
    cards = "".join(
        f'<div class="card"><b>{p["status"]}</b> <a href="{escape(p["type"])}">'
        f"{escape(p['title'])}</a><p>{escape(p['explanation'])}</p></div>"
        for p in document["problems"]
    )
    return _page(
        "Problems",
        '<h1>What errors mean</h1><p class="lead">Every error is a problem document '
        "(RFC 9457); its <code>type</code> leads here.</p>"
        f'<h2>Types</h2><div class="grid">{cards}</div>',
    )


def problem(document: dict[str, Any]) -> str:
    """One problem type, explained."""
    return _page(
        document["title"],
        f'<p class="lead"><code>{document["status"]}</code> {escape(document["type"])}</p>'
        f"<h1>{escape(document['title'])}</h1><p>{escape(document['explanation'])}</p>"
        '<p><a href="/problems">all types</a></p>',
    )
