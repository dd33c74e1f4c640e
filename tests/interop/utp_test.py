"""uTP alone, without any TCP, with libtorrent and among ourselves, both ways: bytes compared."""

import unittest

import clients
import content
import foreign
import rig
import trackers


SwarmFsUtp = clients.SwarmFs.told("utp", encrypted=False)
LibTorrentUtp = clients.LibTorrent.told("utp", encrypted=False)


class Utp(rig.NetCase):
    limit = 90

    def transfer(self, seeder_kind, leech_kind, version="hybrid"):
        for kind in (seeder_kind, leech_kind):
            rig.skip(kind.absent())
        source = content.make_tree(self.net.dir / "data" / "things")
        seeder = seeder_kind(self.net.host("seed"))
        leech = leech_kind(self.net.host("leech"))
        meeting = trackers.EmbeddedTracker(self.net.host("tracker"))
        torrent = content.make_torrent(source, self.net.dir / "t.torrent", version,
                                       trackers=[meeting.url("http")])
        meeting.start(torrent.hashes)
        seeder.seed(torrent, source.parent)
        meeting.wait_seeder(torrent, procs=[seeder.proc])
        out = self.net.dir / "out"
        out.mkdir()
        leech.download(torrent, out)
        leech.wait_done(60)
        expected = {name: value for name, value in content.digest(source).items()
                    if value[0] > 0 or leech.makes_empty_files}
        self.assertEqual(content.digest_elsewhere(leech.host, out / torrent.name), expected)
        leech.stop()

    def test_swarmfs_to_swarmfs(self):
        self.transfer(SwarmFsUtp, SwarmFsUtp)

    def test_swarmfs_to_libtorrent(self):
        self.transfer(SwarmFsUtp, LibTorrentUtp)

    def test_libtorrent_to_swarmfs(self):
        self.transfer(LibTorrentUtp, SwarmFsUtp)

    def test_swarmfs_to_transmission(self):
        """It reads what comes in one packet with a handshake only when another packet comes."""
        self.transfer(SwarmFsUtp, foreign.Transmission.told("utp", encrypted=False), "v1")


if __name__ == "__main__":
    unittest.main()
