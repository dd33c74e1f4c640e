"""A peer that lies, corrupts, stalls or sends nonsense, beside one honest peer.

For each behaviour of evil_peer.py, through `get` and through `mount`: the file arrives right, the
liar is not retried without end, and nothing corrupt is served on. The honest peer is slow enough
that the liar is always asked too.
"""

import json
import unittest

import clients
import content
import evil_peer
import rig

SIZE = 6 * content.MIB + 4321
# How often one bad peer may be connected to within the test's few seconds.
MAX_CONNECTIONS = 8


class Misbehaving(rig.NetCase):
    limit = 100

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SUBJECT.absent() or clients.LibTorrent.absent())

    def setUp(self):
        super().setUp()
        self.file = content.make_tree(self.net.dir / "data", files={"file.bin": SIZE}) / "file.bin"
        self.expected = content.digest(self.file.parent)["file.bin"]

    def meet(self, behaviour, version="v1"):
        """An honest seed and the evil one, as swarmfs would be told of them: evil first."""
        self.torrent = content.make_torrent(self.file, self.net.dir / "t.torrent", version)
        self.honest = clients.LibTorrent(self.net.host("honest"), up=2 * content.MIB,
                                         **{"no-pex": True})
        self.honest.seed(self.torrent, self.file.parent)
        self.evil_host = self.net.host("evil")
        self.evil = self.evil_host.start("evil", [
            "/usr/bin/python3", evil_peer.__file__, behaviour, self.torrent.path, self.file,
            "--port", clients.PORT])
        self.evil.wait_text("ready", 10)
        return [f"{self.evil_host.ip4}:{clients.PORT}", self.honest.address]

    def evil_events(self, kind):
        lines = [json.loads(l) for l in self.evil.text().splitlines() if l.endswith("}")]
        return [l for l in lines if l["event"] == kind]

    def check_liar_was_met_and_left(self):
        tries = len(self.evil_events("connected"))
        self.assertGreaterEqual(tries, 1, "the bad peer was never connected to")
        self.assertLessEqual(tries, MAX_CONNECTIONS, "the bad peer is retried without end")

    def get(self, behaviour, version="v1"):
        peers = self.meet(behaviour, version)
        out = self.net.dir / "out"
        getter = clients.SUBJECT(self.net.host("get"))
        getter.download(self.torrent, out, peers, stay=True)
        self.evil.wait_text('"connected"', 30)  # it dials, so it listens: a refused libtorrent waits
        self.serve_on(getter)
        getter.wait_complete(30)
        self.assertEqual(content.digest_elsewhere(getter.host, out)["file.bin"], self.expected)
        self.check_liar_was_met_and_left()

    def serve_on(self, source):
        """A libtorrent peer that knows only swarmfs gets the whole file, no piece of it bad."""
        leech = clients.LibTorrent(self.net.host("leech"), **{"no-pex": True})
        leech.download(self.torrent, self.net.dir / "leech", [source.address])
        leech.wait_done(60)
        self.assertEqual(content.digest(self.net.dir / "leech")["file.bin"], self.expected)
        self.assertEqual(leech.events("hash_failed"), [])
        self.assertEqual(leech.status()["failed"], 0)

    def mount(self, behaviour, version="v1"):
        rig.skip(clients.SwarmFsMount.absent())
        peers = self.meet(behaviour, version)
        mount = clients.SwarmFsMount(self.net.host("mount"))
        mount.download(self.torrent, self.net.dir / "mnt", peers)
        found = content.digest_elsewhere(mount.host, self.net.dir / "mnt")
        self.assertEqual(found["file.bin"], self.expected)
        self.check_liar_was_met_and_left()
        self.serve_on(mount)
        mount.unmount()


# A stall is only noticed by waiting; everything else has to end with the connection closed.
CLOSES = ("Corrupt", "OtherTorrent", "Garbage", "HugeLength", "WrongInfoHash", "HugeIndex",
          "BadBitfield")
BY_MOUNT = ("Corrupt", "OtherTorrent", "StallAfterUnchoke", "StallMidBlock", "LieHaveAll")


def add_tests():
    for behaviour in evil_peer.BEHAVIOURS:
        if behaviour == "Behaviour":
            continue

        def through_get(self, behaviour=behaviour):
            self.get(behaviour)
            if behaviour in CLOSES:
                self.assertGreaterEqual(len(self.evil_events("closed")), 1)

        setattr(Misbehaving, f"test_get_{behaviour}", through_get)
    for behaviour in BY_MOUNT:
        def through_mount(self, behaviour=behaviour):
            self.mount(behaviour)

        setattr(Misbehaving, f"test_mount_{behaviour}", through_mount)

    def hybrid(self):
        self.get("Corrupt", "hybrid")

    Misbehaving.test_get_Corrupt_hybrid = hybrid


add_tests()

if __name__ == "__main__":
    unittest.main()
