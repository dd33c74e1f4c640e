"""scripts/bench mixed: a swarm of one of each client, beside one of libtorrent alone.

One seed of 40 Mbit/s, and as many that download as there are clients, each 100 Mbit/s down and
20 Mbit/s up and 20 ms from each other, who all stay until the last has everything. The time is from
the start of the seed, when all others are there, until then.
"""
import argparse
import pathlib
import statistics
import sys
import time

from .command import add_options, conclude, netlab_missing
from .figures import SUBJECT, Figure

HERE = pathlib.Path(__file__).resolve().parent
PORT, TRACKER_PORT = 6881, 8000
MIB = 1 << 20
SIZE, PIECE = 96 * MIB, MIB
RTT = 0.02
LIMIT = 600  # seconds that one swarm may take


def arguments(words):
    parser = argparse.ArgumentParser(prog="bench mixed", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one swarm of each instead of five")
    add_options(parser)
    return parser.parse_args(words)


def everyone():
    """One class for each client that is here, swarmfs first; each stays when it has everything."""
    import clients
    import foreign

    class SwarmFs(clients.SwarmFs):
        def download(self, torrent, out):
            super().download(torrent, out, stay=True)

        def wait_done(self, timeout):
            self.wait_complete(timeout)

    class Transmission(foreign.Transmission):
        encryption = 0  # preferring it, Debian's build gets no further with libtorrent

    class Aria2(foreign.Aria2):
        def download(self, torrent, out):
            self._start(torrent, out, "--seed-ratio=0.0")

        def wait_done(self, timeout):
            self.proc.wait_text(r"SEED\(", timeout)

    found = [SwarmFs, clients.LibTorrent, foreign.QBittorrent, Transmission, Aria2, foreign.RTorrent]
    return [kind for kind in found if not kind.absent()]


class Swarm:
    """One lab with its seed, its tracker and those that download."""

    def __init__(self, lab, kinds, source):
        from clients import LibTorrent
        from content import make_torrent
        from .stage import link
        self.lab = lab
        tracker = lab.host("tracker", **link(RTT))
        seed = lab.host("seed", **link(RTT, up="40mbit", down="100mbit"))
        hosts = [lab.host(f"peer{n}", **link(RTT, up="20mbit", down="100mbit"))
                 for n in range(len(kinds))]
        told = [f"{host.ip4}:{PORT}" for host in (seed, *hosts)]
        tracker.start("tracker", [sys.executable, HERE / "tracker.py", TRACKER_PORT, *told])
        self.source = source
        self.torrent = make_torrent(source, lab.dir / "file.torrent", "v1", PIECE,
                                    [f"http://{tracker.ip4}:{TRACKER_PORT}/announce"])
        self.seed = LibTorrent(seed)
        self.peers = [kind(host) for kind, host in zip(kinds, hosts)]

    def run(self):
        """Seconds until swarmfs has everything, None without it, and until everybody has."""
        for n, peer in enumerate(self.peers):
            out = self.lab.dir / f"out{n}"
            out.mkdir()
            peer.download(self.torrent, out)
            peer.wait_listening()
        begun = time.monotonic()
        self.seed.seed(self.torrent, self.source.parent)
        ours = None
        for peer in self.peers:  # swarmfs is the first: the others' own times nobody sees
            peer.wait_done(LIMIT)
            if peer.name == SUBJECT:
                ours = time.monotonic() - begun
        whole = time.monotonic() - begun
        expected = self.source.read_bytes()
        for n, peer in enumerate(self.peers):
            if (self.lab.dir / f"out{n}" / self.source.name).read_bytes() != expected:
                raise AssertionError(f"{peer.name} has other bytes")
        return ours, whole


def main(words, prepare, build):
    args = arguments(words)
    prepare(netlab_missing, "test")  # the other clients
    import clients
    from netlab import Netlab
    from .stage import Material
    clients.SWARMFS = args.binary.resolve() if args.binary else build()
    kinds = everyone()
    swarms = {"one of each": kinds, "libtorrent alone": [clients.LibTorrent] * len(kinds)}
    times, ours = {name: [] for name in swarms}, []
    with Material() as material:
        source = material.file("data/file.bin", SIZE)
        for _ in range(1 if args.quick else 5):
            for name, members in swarms.items():
                with Netlab() as lab:
                    mine, whole = Swarm(lab, members, source).run()
                times[name].append(whole)
                if mine is not None:
                    ours.append(mine)
                print(f"{name}: {whole:.1f} s", file=sys.stderr, flush=True)
    middle = {name: statistics.median(found) for name, found in times.items()}
    figures = [Figure(f"all have it, {name}", "seconds", {SUBJECT: value})
               for name, value in middle.items()]
    figures.append(Figure("swarmfs has it, one of each", "seconds", {SUBJECT: statistics.median(ours)}))
    figures.append(Figure("one of each beside libtorrent alone", "x",
                          {SUBJECT: middle["one of each"] / middle["libtorrent alone"]},
                          1.0, "<= 1"))
    return conclude(args, figures, f"; one of each: {', '.join(kind.name for kind in kinds)}",
                    {"times": times})
