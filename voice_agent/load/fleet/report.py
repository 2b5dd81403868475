"""The report of a run as one HTML file: no script, no request, fit for paper."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from voice_agent.load.fleet.plots import Series, bars, lines

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e8ea);
  --paper: light-dark(#fff, #15181c); --faint: light-dark(#5b6570, #9aa4ae);
  --rule: light-dark(#d6dbe0, #363d45); --good: light-dark(#17713b, #5cc98a);
  --bad: light-dark(#b3261e, #ff8a80); --one: #2f6fde; --two: #c2711b; --three: #7a4fd0; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, li { max-width: 46rem; } .faint { color: var(--faint); }
.verdict { font-size: 1.2rem; font-weight: 600; } .good { color: var(--good); }
.bad { color: var(--bad); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--rule);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
th { font-weight: 600; } svg { width: 100%; height: auto; } svg text { fill: var(--faint);
  font: 11px system-ui, sans-serif; }
figure { margin: 0; } figcaption { color: var(--faint); font-size: .9rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem; }
@media print { body { margin: 0; max-width: none; font-size: 11px; color-scheme: light; }
  h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


def html(report: Mapping[str, Any]) -> str:
    """Return the report of :func:`voice_agent.load.fleet.run.run` as an HTML document."""
    title = f"Load test: {report['scenario']['name']} over {report['line']}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{''.join(_sections(report))}</body></html>\n"
    )


def _sections(report: Mapping[str, Any]) -> Iterator[str]:
    steps = report["steps"]
    yield _verdict(report)
    yield "<h2>Every load</h2>" + _tables(steps)
    yield '<h2>Latency and the server</h2><div class="pair">'
    yield _latency_plot(steps) + _histogram(steps) + _cpu_plot(report) + _memory_plot(report)
    yield "</div>"
    for step in steps:
        yield _step(step, report["url"])
    yield _method(report)


def _verdict(report: Mapping[str, Any]) -> str:
    steps = report["steps"]
    invalid = [step for step in steps if not step["valid"]]
    lost = next((step for step in steps if step["server_lost"]), None)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(report["finished_at"]))
    made = [f'<p class="faint">{when} UTC, {escape(report["url"])}</p>']
    if lost is not None:
        made.append(
            f'<p class="verdict bad">The server stopped answering with {lost["sessions"]} calls '
            "on it. What follows is what was seen until then.</p>"
        )
    if report["capacity"]:
        made.append(
            f'<p class="verdict good">The SLO holds with {report["capacity"]} calls at once.</p>'
        )
    else:
        made.append('<p class="verdict bad">The SLO does not hold with any load tried.</p>')
    failed = next((step for step in steps if not step["held"] and not step["server_lost"]), None)
    if failed is not None:
        names = ", ".join(_check(each) for each in failed["checks"] if not each["holds"])
        stage = f" The stage to look at is <b>{failed['guilty']}</b>." if failed["guilty"] else ""
        made.append(
            f'<p><span class="bad">With {failed["sessions"]} it does not:</span> '
            f"{names}.{stage}</p>"
        )
    if invalid:
        loads = ", ".join(str(step["sessions"]) for step in invalid)
        made.append(
            f'<p class="bad">Not valid with {loads}: the callers themselves lagged more than 20 ms '
            "(p99), so what they measured is partly their own.</p>"
        )
    return "".join(made)


def _check(check: Mapping[str, Any]) -> str:
    wanted = ("at least " if check["at_least"] else "at most ") + f"{check['limit']:g}"
    found = "nothing measured" if check["measured"] is None else f"{check['measured']:g}"
    return f"{escape(check['name'])} {found} ({wanted})"


CALLER = (
    ("v2v p50, ms", "v2v_ms", "p50"),
    ("p95", "v2v_ms", "p95"),
    ("p99", "v2v_ms", "p99"),
    ("max", "v2v_ms", "max"),
    ("first sound p95", "first_sound_ms", "p95"),
    ("barge-in silent p95", "barge_in_silent_ms", "p95"),
)
SHARES = (
    ("missed", "missed_share"),
    ("cut-ins", "cut_ins_share"),
    ("double", "double_answers_share"),
    ("mm-hm kept", "continuers_kept_share"),
    ("errors", "errors_share"),
    ("success", "success_share"),
)


def _tables(steps: Sequence[Mapping[str, Any]]) -> str:
    waits, manners = [], []
    for step in steps:
        client, server = step["figures"]["client"], step["figures"].get("server") or {}
        calls = str(step["sessions"])
        mark = '<span class="good">holds</span>' if step["held"] else '<span class="bad">no</span>'
        spreads = [_number((client.get(key) or {}).get(p)) for _, key, p in CALLER]
        waits.append([calls, mark, str(client["turns"]), *spreads])
        rss = (server.get("rss_mb") or {}).get("max")
        manners.append(
            [
                calls,
                *(_percent(client[key]) for _, key in SHARES),
                _number(client["stalls_per_minute"], 2),
                _number(server.get("cores"), 2),
                _number(rss),
                _number(server.get("lag_p99_ms"), 1),
            ]
        )
    first = _table(["calls", "SLO", "turns", *(name for name, _, _ in CALLER)], waits)
    head = ["calls", *(name for name, _ in SHARES), "stalls/min", "cores", "MB", "loop lag, ms"]
    return first + _table(head, manners)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    header = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{header}</tr>{body}</table></div>'


def _latency_plot(steps: Sequence[Mapping[str, Any]]) -> str:
    def series(percentile: str, colour: str) -> Series:
        points = [
            (float(step["sessions"]), float(step["figures"]["client"]["v2v_ms"][percentile]))
            for step in sorted(steps, key=lambda step: int(step["sessions"]))
            if step["figures"]["client"]["v2v_ms"]
        ]
        return Series(percentile, points, colour)

    plot = lines([series("p50", "one"), series("p95", "two"), series("p99", "three")], "calls")
    return _figure(plot, "Voice to voice at the client, ms, by calls at once")


def _histogram(steps: Sequence[Mapping[str, Any]]) -> str:
    known = [
        turn["v2v_ms"]
        for step in steps
        for call in step["calls"]
        for turn in call["turns"]
        if turn["v2v_ms"] is not None
    ]
    return _figure(bars(known, "ms"), "Voice to voice of all turns: how many took how long")


def _cpu_plot(report: Mapping[str, Any]) -> str:
    samples = report["samples"]
    cores = [
        (after["at_s"] - samples[0]["at_s"], (after["cpu_s"] - before["cpu_s"]) / gap)
        for before, after in pairwise(samples)
        if (gap := after["at_s"] - before["at_s"]) > 0
    ]
    sessions = [(each["at_s"] - samples[0]["at_s"], float(each["sessions"])) for each in samples]
    drawn = lines([Series("cores", cores, "one")], "s")
    drawn += lines([Series("calls", sessions, "two")], "s", height=90)
    return _figure(drawn, "The server's main process, in cores, and the calls on it, over time")


def _memory_plot(report: Mapping[str, Any]) -> str:
    samples = report["samples"]

    def over_time(key: str) -> list[tuple[float, float]]:
        return [(each["at_s"] - samples[0]["at_s"], float(each[key])) for each in samples]

    drawn = lines([Series("MB", over_time("rss_mb"), "one")], "s")
    drawn += lines([Series("lag p99, ms", over_time("lag_p99_ms"), "two")], "s", height=90)
    return _figure(drawn, "Its memory, MB, and how late its event loop is, over time")


def _step(step: Mapping[str, Any], url: str) -> str:
    client = step["figures"]["client"]
    made = [f"<h2>{step['sessions']} calls, {step['shape']}, {step['seconds']:g} s</h2>"]
    if client["errors"]:
        told = ", ".join(f"{kind}: {count}" for kind, count in client["errors"].items())
        words = next((call["what"] for call in step["calls"] if call["error"]), "")
        made.append(f'<p class="bad">Failed calls: {escape(told)}. {escape(words[:200])}</p>')
    if left := step.get("left"):
        rows = [[name, *(_number(told[key]) for key in ("before", "after"))]
                for name, told in left.items()]  # fmt: skip
        made.append(_table(["left behind in the idle server", "before", "after"], rows))
    stages = step["figures"].get("stages")
    if stages:
        rows = [
            [escape(stage), *(_number(told.get(key)) for key in ("p50", "p95", "budget_ms"))]
            for stage, told in stages.items()
        ]
        made.append(_table(["stage, as the server tells it", "p50, ms", "p95", "budget"], rows))
    if client["worst"]:
        rows = [
            [escape(turn["text"]), _number(turn["v2v_ms"]), _link(turn["trace"], url)]
            for turn in client["worst"]
        ]
        made.append(_table(["slowest answers, to", "ms", "trace"], rows))
    return "".join(made)


def _link(trace: str, url: str) -> str:
    if not trace:
        return "-"
    address = escape(f"{url}/traces/?{urlencode({'turn': trace})}", quote=True)
    return f'<a href="{address}">{escape(trace)}</a>'


def _method(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    return (
        "<h2>Method</h2><p>Simulated callers in processes of their own spoke in real time; every "
        "latency is the time from the packet that held the last sample of the caller's voice to "
        "the arrival of the packet with the agent's first sample above -45 dBFS. A stall is more "
        "than 60 ms without a packet in the middle of the agent's voice. Stages are the server's "
        "own, from its traces; memory and CPU are those of its main process.</p>"
        f'<p class="faint">{escape(machine["cpu"])}, {machine["cores"]} cores, '
        f"{escape(machine['system'])}, Python {machine['python']}; load average at the end "
        f"{', '.join(map(str, machine['load_average']))}.</p>"
    )


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f} %"
