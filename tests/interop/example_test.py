"""The worked example, with four real processes: one seeder S, three empty peers A, B and C.

Four pieces. S is slow, the peers are not, so the pieces spread from peer to peer: S hands three
different pieces out first and uploads little more than one copy in all. Then S leaves, and D still
gets everything from the rest.
"""

import unittest

import clients
import content
import rig

PIECE = 1 * content.MIB
PIECES = 4
SIZE = PIECE * PIECES
SEEDER_BITS = 16_000_000  # 2 MB/s: the whole takes S about 2 s


class WorkedExample(rig.NetCase):
    limit = 90
    version = "v1"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SUBJECT.absent() or clients.LibTorrent.absent())

    def run_example(self, version):
        file = content.make_tree(self.net.dir / "data", files={"file.bin": SIZE}) / "file.bin"
        expected = content.digest(file.parent)
        torrent = content.make_torrent(file, self.net.dir / "t.torrent", version, PIECE)

        seeder = clients.SUBJECT(self.net.host("S"))
        seeder.host.shape(SEEDER_BITS)
        seeder.seed(torrent, file.parent)
        peers = {n: clients.SUBJECT(self.net.host(n)) for n in "ABC"}
        addresses = [seeder.address] + [p.address for p in peers.values()]
        for name, peer in peers.items():
            others = [a for a in addresses if a != peer.address]
            peer.download(torrent, self.net.dir / name, others, stay=True)
        for name in peers:
            self.wait_file(peers[name], self.net.dir / name, expected)

        # Headers, handshakes and acknowledgements are in what the link counts: 6 % is ample.
        copies = seeder.host.sent() / SIZE / 1.06
        self.assertGreaterEqual(copies, 0.9)
        self.assertLessEqual(copies, 1.3, f"the seeder sent {copies:.2f} copies of the file")
        # Three copies were needed; what the seeder did not send came from A, B and C.
        passed_on = sum(peer.host.sent() for peer in peers.values()) / SIZE
        self.assertGreater(passed_on, 1.6, "the peers passed too little on")

        self.assertEqual(seeder.proc.stop(), 0)
        last = clients.SUBJECT(self.net.host("D"))
        last.download(torrent, self.net.dir / "D", addresses)
        last.wait_done(30)
        self.assertEqual(content.digest(self.net.dir / "D"), expected)
        for peer in peers.values():
            self.assertEqual(peer.proc.stop(), 0)
        print(f"\nworked example, {version}: the seeder sent {copies:.2f} copies", flush=True)

    def wait_file(self, peer, folder, expected):
        rig.wait_for(f"{peer.host.name} to have everything",
                     lambda: folder.exists() and content.digest(folder) == expected, 30,
                     [peer.proc], step=0.2)

    def test_v1(self):
        self.run_example("v1")

    def test_v2(self):
        self.run_example("v2")

    def test_hybrid(self):
        self.run_example("hybrid")

    def test_first_three_pieces_are_different(self):
        """Each of three peers that know only S is given a piece that no other one has yet."""
        file = content.make_tree(self.net.dir / "data", files={"file.bin": SIZE}) / "file.bin"
        torrent = content.make_torrent(file, self.net.dir / "t.torrent", "v1", PIECE)
        seeder = clients.SUBJECT(self.net.host("S"))
        seeder.host.shape(SEEDER_BITS // 2)
        seeder.seed(torrent, file.parent)
        observers = [Observer(self.net.host(n), torrent) for n in "ABC"]
        for observer in observers:
            observer.ask_for_everything(seeder)
        firsts = [o.first_piece() for o in observers]
        self.assertEqual(len(set(firsts)), 3, f"first pieces handed out: {firsts}")


class Observer:
    """Asks for all pieces at once, and tells which one the seeder chose to send whole first."""

    def __init__(self, host, torrent):
        self.host, self.torrent = host, torrent

    def ask_for_everything(self, seeder):
        self.proc = self.host.start("observer", [
            "/usr/bin/python3", clients.HERE / "observer.py", self.torrent.path, seeder.address])

    def first_piece(self):
        return int(self.proc.wait_text(r"first (\d+)", 30)[1])


if __name__ == "__main__":
    unittest.main()
