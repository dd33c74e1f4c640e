"""From the start of a process to the first 4 KiB, and where that time goes on the wire."""
import libtorrent as lt

from . import steps
from .contestants import Job
from .figures import SUBJECT
from .stage import DOWN_BITS, MIB, RTT, TRACKER

FILE = "film.bin"
SIZE = 1024 * MIB
FOUR_SEEDS = [{}] * 4


def start_v2(run):
    _start(run, "start, v2, 4 MiB, swarmfs seeds", (FILE, "v2", 4 * MIB), "swarmfs",
           {"p50": (8 * RTT, "<= 8 RTT"), "p95": (12 * RTT, "<= 12 RTT")})


def start_v1(run):
    limit = 10 * RTT + 1.15 * 8 * MIB / DOWN_BITS
    _start(run, "start, v1, 1 MiB, libtorrent seeds", (FILE, "v1", MIB), "libtorrent",
           {"p50": (limit, f"<= 10 RTT + 1.15 x piece ({1e3 * limit:.0f} ms)")})


def start_magnet(run):
    """Of a link with a tracker; the others have no mount that takes one."""
    _start(run, "start, magnet, v2, 4 MiB, swarmfs seeds", (FILE, "v2", 4 * MIB), "swarmfs",
           {"p50": (12 * RTT, "<= 12 RTT")}, link_of)
    limit = 12 * RTT + 1.15 * 8 * MIB / DOWN_BITS
    _start(run, "start, magnet, v1, 1 MiB, libtorrent seeds", (FILE, "v1", MIB), "libtorrent",
           {"p50": (limit, f"<= 12 RTT + 1.15 x piece ({1e3 * limit:.0f} ms)")}, link_of)


def start_dht(run):
    """Of a link with nothing but its hash, by one node of a hash table that the client never met."""
    _start(run, "start, magnet by DHT, v2, 4 MiB, swarmfs seeds", (FILE, "v2", 4 * MIB), "swarmfs",
           {"p50": (20 * RTT, "<= 20 RTT")}, bare_link_of, dht=True)


def bare_link_of(torrent):
    hashes = lt.torrent_info(str(torrent)).info_hashes()
    topic = f"btih:{hashes.v1}" if hashes.has_v1() else f"btmh:1220{hashes.v2}"
    return f"magnet:?xt=urn:{topic}"


def link_of(torrent):
    return f"{bare_link_of(torrent)}&tr={TRACKER}"


def _start(run, label, torrent, kind, goals, link=None, **how):
    """`link` makes of the torrent's path what the client is given instead; `how` is for the Stage."""
    run.material.file(FILE, SIZE)
    count = 5 if run.quick else 20
    took, on_wire = {}, {}
    with run.stage(torrent, kind, FOUR_SEEDS, **how) as stage:
        if link:
            stage.torrent = link(stage.torrent)
        for name in [SUBJECT] if link else run.contestants:
            for _ in range(run.times(name, count)):
                with steps.tap(stage, 120) as events:
                    outcome = run.measure(name, label, stage, [Job("first")], limit=45)
                if outcome is None:
                    continue
                end = outcome.results[0]["first"]
                took.setdefault(name, []).append(end - outcome.began)
                on_wire.setdefault(name, []).append(
                    {"mount visible": outcome.results[0]["visible"] - outcome.began,
                     **steps.of_start(events, outcome.began, end, torrent[1] == "v1")})
    run.found.distribution(label, took, RTT, goals, shown=("p50", "p95"))
    run.found.steps[label] = RTT, on_wire
