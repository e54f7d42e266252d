"""How signed offers travel: time from publishing to checked, what is lost, what it costs.

    python -m benchmarks.gossip [--peers 2 10 30] [--offers 10] [--rate 10] [--json]

Each peer publishes and hears. Over MQTT each is a process of its own beside a mosquitto without
TLS; what it is measured beside is memory: all in one process, which is what signing, checking and
Python cost without a network. `--rate` is of all peers together, in offers a second. `cpu` is that
of all processes of peers, for each delivery; the broker's is not in it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.brokers import MOSQUITTO, Mosquitto
from tests.support.oracles import ROOT

from swatow_protocol.shell.terminal import Terminal


def main() -> None:
    """Measure each carrier with each number of peers, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", type=int, nargs="+", default=[2, 10, 30])
    parser.add_argument("--offers", type=int, default=10, help="of each peer")
    parser.add_argument("--rate", type=float, default=10.0, help="offers a second, of all peers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    terminal = Terminal(as_json=options.json)
    rows = []
    for peers in options.peers:
        pause_s = peers / options.rate
        terminal.note(f"{peers} peers, {options.offers * pause_s:.0f} s each")
        alone = measure("memory:bench", [peers], options.offers, pause_s)
        rows.append(row("memory", peers, options.offers, alone, alone))
        if MOSQUITTO is None:
            terminal.note("MQTT: skipped, mosquitto is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder)) as broker:
            found = measure(broker.url, [1] * peers, options.offers, pause_s)
        rows.append(row("MQTT", peers, options.offers, found, alone))
    if options.json:
        terminal.data({"rows": rows})
        return
    heads = [name.replace("_", " ") for name in rows[0]]
    table = [
        [f"{value:.2f}" if isinstance(value, float) else str(value) for value in each.values()]
        for each in rows
    ]
    terminal.table("Offers over carriers", heads, table)


def measure(url: str, sizes: list[int], offers: int, pause_s: float) -> list[dict[str, Any]]:
    """Run processes of so many peers each; return what each of them found."""
    with ExitStack() as stack:
        children = []
        for number, size in enumerate(sizes):
            words = [url, str(size), str(1 + number), str(offers), str(pause_s)]
            child = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.gossip_peer", *words],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            children.append(child)
        for child in children:
            assert child.stdout is not None
            while child.stdout.readline() != "connected\n":
                assert child.poll() is None, "a peer did not start"
        for child in children:
            assert child.stdin is not None
            print("go", file=child.stdin, flush=True)
        found = []
        for child in children:
            output, _ = child.communicate()
            found.append(json.loads(output.splitlines()[-1]))
        return found


def row(
    carrier: str,
    peers: int,
    offers: int,
    found: list[dict[str, Any]],
    alone: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the figures of one carrier; the ratio is to the peers in one process."""
    latencies = sorted(each for one in found for each in one["latencies_ms"])
    mid, mid_alone = (
        statistics.median(each for one in of for each in one["latencies_ms"])
        for of in (found, alone)
    )
    expected = peers * (peers - 1) * offers
    return {
        "carrier": carrier,
        "peers": peers,
        "published": peers * offers,
        "delivered": len(latencies) / expected,
        "p50_ms": mid,
        "p99_ms": latencies[int(0.99 * (len(latencies) - 1))],
        "ratio_p50": mid / mid_alone,
        "cpu_ms": 1_000 * sum(one["cpu_s"] for one in found) / len(latencies),
        "idle_percent_each": 100 * sum(one["idle_share"] for one in found) / len(found),
        "mib_each": max(one["peak_bytes"] for one in found) / 2**20,
    }


if __name__ == "__main__":
    main()
