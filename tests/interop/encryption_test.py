"""Encryption (MSE) with clients that insist on it, that have it off, and that leave it open.

A cell is client x policy of ours x direction: `to` means that swarmfs seeds and the client
downloads, `from` that the client seeds. Who downloads dials. Bytes are compared.
"""

import os
import time
import unittest

import clients
import content
import foreign
import rig
import trackers

FILES = {"set/big.bin": 5 * content.MIB + 77, "set/small.bin": 5}


LibTorrentForced = clients.LibTorrent.told("tcp", encrypted=True)
LibTorrentOff = clients.LibTorrent.told("tcp", encrypted=False)
TransmissionRequired = foreign.Transmission.told("tcp", encrypted=True)
RTorrentRequired = foreign.RTorrent.told("tcp", encrypted=True)
Aria2Required = foreign.Aria2.told("tcp", encrypted=True)
NAMES = {kind: name for name, kind in dict(globals()).items() if isinstance(kind, type)}

# Who, what we are told to do, who downloads, and whether anything may come of it. The first ones
# are for every run, the others for INTEROP_ALL=1.
CELLS = [
    (LibTorrentForced, "prefer", "from", True),
    (clients.LibTorrent, "require", "to", True),
    (TransmissionRequired, "prefer", "from", True),
    (RTorrentRequired, "prefer", "from", True),
]
if os.environ.get("INTEROP_ALL"):
    CELLS += [
        (RTorrentRequired, "require", "to", True),
        (TransmissionRequired, "require", "to", True),
        (LibTorrentForced, "forbid", "to", False),
        (LibTorrentForced, "prefer", "to", True),
        (LibTorrentForced, "require", "from", True),
        (LibTorrentForced, "require", "to", True),
        (LibTorrentForced, "forbid", "from", False),
        (LibTorrentOff, "prefer", "from", True),
        (LibTorrentOff, "prefer", "to", True),
        (LibTorrentOff, "require", "from", False),
        (LibTorrentOff, "require", "to", False),
        (clients.LibTorrent, "require", "from", True),
        (clients.LibTorrent, "forbid", "from", True),
        (clients.LibTorrent, "forbid", "to", True),
        (TransmissionRequired, "prefer", "to", True),
        (TransmissionRequired, "require", "from", True),
        (RTorrentRequired, "prefer", "to", True),
        (RTorrentRequired, "require", "from", True),
        (Aria2Required, "prefer", "from", True),
        (Aria2Required, "prefer", "to", True),
    ]


class Encryption(rig.NetCase):
    """Filled below: one test method a cell and direction."""

    limit = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())

    def cell(self, kind, policy, works, direction):
        rig.skip(kind.absent())
        data = content.make_tree(self.net.dir / "data", files=FILES)
        tracker = trackers.EmbeddedTracker(self.net.host("tracker"))
        # libtorrent asks a peer that a tracker named plain first, and encrypted only a minute after
        # that: it is given the address, and no tracker.
        by_address = direction == "to" and issubclass(kind, clients.LibTorrent)
        torrent = content.make_torrent(data / "set", self.net.dir / "t.torrent", "v1",
                                       trackers=[] if by_address else [tracker.url("http")])
        tracker.start(torrent.hashes)
        ours, theirs = clients.SwarmFs(self.net.host("ours")), kind(self.net.host("theirs"))
        extra = ["--encryption", policy]
        out = self.net.dir / "out"
        out.mkdir()
        if direction == "to":
            ours.seed(torrent, data, extra=extra)
            if by_address:
                theirs.download(torrent, out, peers=[ours.address])
            else:
                tracker.wait_seeder(torrent, procs=[ours.proc])
                theirs.download(torrent, out)
        else:
            theirs.seed(torrent, data)
            tracker.wait_seeder(torrent, procs=[theirs.proc])
            ours.download(torrent, out, extra=extra)
        leech = theirs if direction == "to" else ours
        if not works:
            time.sleep(3)
            self.assertNotEqual(content.digest(out / "set"), content.digest(data / "set"))
            self.assertTrue(leech.proc.alive())
            return
        leech.wait_done(60)
        self.assertEqual(content.digest(out / "set"), content.digest(data / "set"))
        leech.stop()


def add_cells():
    for kind, policy, direction, works in CELLS:
        def test(self, cell=(kind, policy, works, direction)):
            self.cell(*cell)
        name = f"test_{NAMES.get(kind, kind.name)}_{policy}_{direction}"
        test.__name__ = name
        setattr(Encryption, name, test)


add_cells()


class Shown(rig.NetCase):
    """What a mount says of its peers."""

    limit = 60

    def test_the_list_of_peers_says_which_are_encrypted(self):
        rig.skip(clients.SwarmFsMount.absent() or clients.LibTorrent.absent())
        data = content.make_tree(self.net.dir / "data", files=FILES)
        torrent = content.make_torrent(data / "set", self.net.dir / "t.torrent", "hybrid")
        forced, plain = LibTorrentForced(self.net.host("forced")), LibTorrentOff(self.net.host("plain"))
        forced.options["up"] = plain.options["up"] = 400_000
        for seed in (forced, plain):
            seed.seed(torrent, data)
        mount = clients.SwarmFsMount(self.net.host("mount"))
        point = self.net.dir / "mnt"
        mount.download(torrent, point, [forced.address, plain.address])
        rig.wait_for("both peers", lambda: mount.status()["torrents"][0]["peers"] == 2, 20,
                     [mount.proc])
        status = mount.status()["torrents"][0]
        self.assertEqual((status["encrypted_peers"], status["utp_peers"]), (1, 0))
        lines = mount.host.run(["cat", point / ".swarmfs/peers"], timeout=10).stdout.splitlines()
        for seed, expected in ((forced, "tcp encrypted"), (plain, "tcp")):
            fields = [line.split("\t") for line in lines if seed.address in line]
            self.assertEqual([f[5] for f in fields], [expected], lines)


if __name__ == "__main__":
    unittest.main()
