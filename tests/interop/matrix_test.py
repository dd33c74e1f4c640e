"""Every client with swarmfs, both ways, through both trackers; bytes compared.

A cell is client x version x direction, met through one tracker:
  to     swarmfs seeds, the client downloads
  from   the client seeds, `swarmfs get` downloads
  mount  the client seeds, the files are read through `swarmfs mount`
The trackers take turns, so that each client uses each of them; INTEROP_ALL=1 runs every cell with
every tracker. One cell alone: python3 -m unittest matrix_test.Matrix.test_aria2_v1_from_...
INTEROP_SUBJECT=libtorrent: see clients.py.
"""

import itertools
import os
import pathlib
import tempfile
import shutil
import time
import unittest

import clients
import content
import foreign
import rig
import trackers

CLIENTS = (clients.LibTorrent, clients.LibTorrentUtp, *foreign.FOREIGN)
TRACKERS = tuple(itertools.product((trackers.OpenTracker, trackers.EmbeddedTracker),
                                   ("http", "udp")))
DIRECTIONS = ("to", "from", "mount")
SUBJECT = clients.SUBJECT

if SUBJECT is not clients.SwarmFs:
    DIRECTIONS = ("to", "from")
    TRACKERS = tuple(t for t in TRACKERS if not t[0].absent())


class Matrix(rig.NetCase):
    """Filled below: one test method a cell."""

    limit = 90
    results = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(SUBJECT.absent() or clients.LibTorrent.absent())
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix=f"{rig.TMP_PREFIX}{os.getpid()}-"))
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.source = content.make_tree(cls.shared / "data" / "Ünïque folder & sons")
        cls.expected = content.digest(cls.source)

    @classmethod
    def tearDownClass(cls):
        print_table(cls.results)

    def cell(self, client, version, direction, tracker, scheme):
        for needed in (client, tracker):
            rig.skip(needed.absent())
        began = time.monotonic()
        key = (client.name, version, direction, f"{tracker.name}/{scheme}")
        self.results[key] = "FAIL"
        meeting = tracker(self.net.host("tracker"))
        torrent = self.torrent(version, direction, meeting.url(scheme))
        meeting.start(torrent.hashes)
        receiver = {"to": client, "from": SUBJECT, "mount": clients.SwarmFsMount}[direction]
        seeder = (SUBJECT if direction == "to" else client)(self.net.host("seed"))
        seeder.seed(torrent, self.data_for(seeder, torrent))
        meeting.wait_seeder(torrent, procs=[seeder.proc])
        out = self.net.dir / "out"
        out.mkdir()
        leech = receiver(self.net.host("leech"))
        leech.download(torrent, out)
        leech.wait_done(60)
        found = content.digest_elsewhere(leech.host, out / torrent.name)
        wanted = {name: value for name, value in self.expected.items()
                  if value[0] > 0 or leech.makes_empty_files}
        self.assertEqual(found, wanted)
        leech.stop()
        self.results[key] = f"{time.monotonic() - began:.1f}"

    def torrent(self, version, direction, url):
        """Made by the one who seeds: swarmfs publishes what it seeds, libtorrent the rest."""
        path = self.net.dir / "t.torrent"
        if direction != "to" or SUBJECT is not clients.SwarmFs:
            return content.make_torrent(self.source, path, version, trackers=[url])
        done = self.net.hosts[0].run([
            clients.SWARMFS, "publish", self.source, "-o", path, "--format", version,
            "--piece-size", content.PIECE, "--tracker", url])
        self.assertEqual(done.returncode, 0, done.stderr)
        return content.read_torrent(path)

    def data_for(self, seeder, torrent):
        """The folder to seed from: a copy, with pad files where the client wants them."""
        if not (seeder.needs_pads and torrent.pads):
            return self.source.parent
        data = self.net.dir / "data"
        shutil.copytree(self.source.parent, data)
        torrent.write_pads(data)
        return data


def print_table(results):
    """One line a client and version; a direction's column says the tracker and the seconds."""
    rows = sorted({key[:2] for key in results})
    print(f"\n\n{SUBJECT.name} with each client: tracker and seconds, or FAIL")
    print(f"{'client':>15} {'format':6} " + "".join(d.ljust(29) for d in DIRECTIONS))
    for client, version in rows:
        cells = [", ".join(f"{key[3]} {value}" for key, value in results.items()
                           if key[:3] == (client, version, direction)) for direction in DIRECTIONS]
        print(f"{client:>15} {version:6} " + "".join(c.ljust(29) for c in cells), flush=True)


def add_cells():
    turns = 0
    for client in CLIENTS:
        for version, direction in itertools.product(client.versions, DIRECTIONS):
            usable = [t for t in TRACKERS if t[1] in client.schemes]
            chosen = usable if os.environ.get("INTEROP_ALL") else [usable[turns % len(usable)]]
            turns += 1
            for tracker, scheme in chosen:
                def test(self, cell=(client, version, direction, tracker, scheme)):
                    self.cell(*cell)
                name = "_".join(["test", client.name, version, direction, tracker.name, scheme])
                test.__name__ = name.replace("-", "_")
                setattr(Matrix, test.__name__, test)


add_cells()

if __name__ == "__main__":
    unittest.main()
