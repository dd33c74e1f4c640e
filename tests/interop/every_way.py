"""Every client with swarmfs in every way there is, as a table: too long for CI, where matrix_test,
encryption_test, magnet_test and utp_test take their share of it.

A cell is client x format x transport x encryption x direction x manifest, each a transfer whose
bytes are compared. Both sides are told to use this transport and this encryption and nothing else.
  to     swarmfs seeds, the client downloads
  from   the client seeds, `swarmfs get` downloads
Usage: every_way.py [WORD]...: the cells whose name has all these words, as
libtorrent-v1-utp-rc4-from-magnet has.
"""

import contextlib
import itertools
import sys
import time
import unittest

import clients
import content
import foreign
import magnet_test
import rig
import trackers
import webtorrent

CLIENTS = (clients.SwarmFs, clients.LibTorrent, *foreign.FOREIGN, webtorrent.WebTorrent)
ENCRYPTIONS = {"plain": False, "rc4": True}
DIRECTIONS = ("to", "from")
MANIFESTS = ("torrent", "magnet")
FILES = {"big.bin": 5 * content.MIB + 77, "deep/er/middle.bin": content.PIECE + 1, "small.bin": 5}

# What a client cannot do, whoever its peer is: not run.
IMPOSSIBLE = {
    "rtorrent-hybrid-*-*-to-magnet": "0.9.8 starts nothing by a link with two hashes",
    "webtorrent-v1-*-rc4-from": "1.9.7 does not end the encrypted handshake of who dials it",
}


def impossible(name):
    for pattern, why in IMPOSSIBLE.items():
        parts = zip(pattern.split("-"), name.split("-"))
        if all(wanted in ("*", found) for wanted, found in parts):
            return why
    return None


class EveryWay(rig.NetCase):
    """Filled below: one test method a cell."""

    limit = 120
    results = {}

    def cell(self, client, version, transport, encryption, direction, manifest):
        rig.skip(client.absent() or clients.SwarmFs.absent())
        began = time.monotonic()
        key = ((client.name, version, manifest), (transport, encryption, direction))
        self.results[key] = "FAIL"
        ours, theirs = (kind.told(transport, ENCRYPTIONS[encryption])
                        for kind in (clients.SwarmFs, client))
        seeder_kind, leech_kind = (ours, theirs) if direction == "to" else (theirs, ours)
        # aria2 says that it has nothing left while it seeks metadata: our tracker shows seeds none.
        kind = (trackers.OpenTracker if client is foreign.Aria2 and manifest == "magnet"
                else trackers.EmbeddedTracker)
        # libtorrent asks a peer that a tracker named plain first, and encrypted only a minute
        # after that: it is given the address, and no tracker.
        by_address = (direction == "to" and encryption == "rc4" and
                      client in (clients.LibTorrent, foreign.QBittorrent))
        source = content.make_tree(self.net.dir / "data" / "tree", files=FILES)
        meeting = kind(self.net.host("tracker"))
        torrent = content.make_torrent(source, self.net.dir / "t.torrent", version,
                                       trackers=[] if by_address else [meeting.url("http")])
        meeting.start(torrent.hashes)
        seeder, leech = seeder_kind(self.net.host("seed")), leech_kind(self.net.host("leech"))
        if seeder.needs_pads or leech.needs_pads:
            torrent.write_pads(source.parent)
        seeder.seed(torrent, source.parent)
        out = self.net.dir / "out"
        out.mkdir()
        wanted = torrent
        if manifest == "magnet":
            wanted = magnet_test.by_link(
                torrent, *([] if by_address else [f"tr={meeting.url('http')}"]))
        if by_address:
            leech.download(wanted, out, peers=[seeder.address])
        else:
            meeting.wait_seeder(torrent, procs=[seeder.proc])
            leech.download(wanted, out)
        leech.wait_done(90)
        expected = content.digest(source)
        # Some say they are done a little before their last bytes are in their files.
        with contextlib.suppress(AssertionError):
            rig.wait_for("the files to be written",
                         lambda: content.digest(out / torrent.name) == expected, 5, step=0.3)
        self.assertEqual(content.digest(out / torrent.name), expected)
        leech.stop()
        self.results[key] = f"{time.monotonic() - began:.1f}"


def cells():
    for client in CLIENTS:
        yield from itertools.product([client], client.versions, client.transports, ENCRYPTIONS,
                                     DIRECTIONS if client is not clients.SwarmFs else ("to",),
                                     MANIFESTS)


def print_table(results, left_out):
    """Rows of client, format and manifest; the columns' cells are seconds, FAIL, skip, or `-` for
    what the client cannot do."""
    columns = list(itertools.product(("tcp", "utp"), ENCRYPTIONS, DIRECTIONS))
    rows = sorted({key[0] for key in (*results, *left_out)})
    print(f"\n{'client':>12} {'format':6} {'manifest':8} "
          + " ".join("/".join(c).rjust(14) for c in columns))
    for row in rows:
        values = [results.get((row, c), "-" if (row, c) in left_out else "") for c in columns]
        print(f"{row[0]:>12} {row[1]:6} {row[2]:8} " + " ".join(v.rjust(14) for v in values))
    for pattern, why in IMPOSSIBLE.items():
        if any(why == reason for reason in left_out.values()):
            print(f"- {pattern}: {why}")
    print(f"{sum(v != 'FAIL' for v in results.values())} passed, "
          f"{sum(v == 'FAIL' for v in results.values())} failed", flush=True)


def main(words):
    suite, left_out = unittest.TestSuite(), {}
    for cell in cells():
        client, version, transport, encryption, direction, manifest = cell
        name = "-".join((client.name, *cell[1:]))
        if not all(word in name.split("-") for word in words):
            continue
        if why := impossible(name):
            left_out[(client.name, version, manifest), (transport, encryption, direction)] = why
            continue
        test = f"test_{name}".replace("-", "_")
        setattr(EveryWay, test, lambda self, cell=cell: self.cell(*cell))
        suite.addTest(EveryWay(test))
    if not suite.countTestCases():
        sys.exit(f"every_way.py: no cell has {' '.join(words)} in its name")
    passed = unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()
    print_table(EveryWay.results, left_out)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
