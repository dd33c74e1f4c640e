"""Torrents without `piece layers` (BEP 52), as a magnet link leaves them: the layers come from the
seeds, libtorrent's and swarmfs's, and the bytes are compared.
"""

import dataclasses
import itertools
import pathlib
import unittest

import clients
import content
import rig

FILES = {
    "long.bin": 40 * content.MIB + 7,  # 641 pieces: two runs of hashes
    "short.bin": content.PIECE + 1,  # the shortest that has a layer
    "none.bin": content.PIECE,
    "deep/er/middle.bin": 3 * content.MIB,
}


def without_layers(torrent, path):
    """The same torrent in a new file, all but its piece layers."""
    import libtorrent as lt
    manifest = lt.bdecode(torrent.path.read_bytes())
    assert manifest.pop(b"piece layers")
    pathlib.Path(path).write_bytes(lt.bencode(manifest))
    stripped = dataclasses.replace(torrent, path=pathlib.Path(path))
    assert lt.torrent_info(str(path)).info_hashes().v2.to_bytes()[:20] in torrent.hashes
    return stripped


class Layers(rig.NetCase):
    limit = 120

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())

    def prepare(self, seeder, version, piece=content.PIECE):
        source = content.make_tree(self.net.dir / "data" / "tree", files=FILES)
        self.expected = content.digest(source)
        torrent = content.make_torrent(source, self.net.dir / "whole.torrent", version, piece)
        stripped = without_layers(torrent, self.net.dir / "stripped.torrent")
        seed = seeder(self.net.host("seed"))
        seed.seed(torrent, source.parent)
        return seed, stripped

    def get(self, seeder, version, piece=content.PIECE):
        seed, stripped = self.prepare(seeder, version, piece)
        out = self.net.dir / "out"
        leech = clients.SwarmFs(self.net.host("leech"))
        leech.download(stripped, out, [seed.address])
        leech.wait_done(60)
        self.assertEqual(content.digest(out / stripped.name), self.expected)
        # What it got can be checked and seeded with the poorer torrent too.
        done = leech.host.run([clients.SWARMFS, "verify", stripped.path, out / stripped.name])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("all", done.stdout)

    def get_small_pieces(self, seeder, version):
        """Pieces of one block: their layer is the leaves."""
        self.get(seeder, version, 16 * content.KIB)

    def mount(self, seeder, version):
        """Reads through a mount; then once more, with nobody to ask."""
        seed, stripped = self.prepare(seeder, version)
        out = self.net.dir / "out"
        leech = clients.SwarmFsMount(self.net.host("leech"))
        leech.download(stripped, out, [seed.address])
        self.assertEqual(content.digest_elsewhere(leech.host, out / stripped.name), self.expected)
        self.assertEqual(leech.unmount(), 0)
        seed.stop()
        leech.download(stripped, out, extra=["--read-timeout", "5"])
        self.assertEqual(content.digest_elsewhere(leech.host, out / stripped.name), self.expected)
        self.assertEqual(leech.unmount(), 0)

    def on_demand(self, seeder, version):
        seed, stripped = self.prepare(seeder, version)
        out = self.net.dir / "out"
        leech = clients.SwarmFsMount(self.net.host("leech"))
        leech.download(stripped, out, [seed.address], extra=["--on-demand"])
        at, length = 35 * content.MIB + 11, 5000
        done = leech.host.run(["tail", "-c", f"+{at + 1}", out / stripped.name / "long.bin"],
                              text=False, timeout=60)
        whole = (self.net.dir / "data" / "tree" / "long.bin").read_bytes()
        self.assertEqual(done.stdout[:length], whole[at:at + length])
        self.assertEqual(leech.unmount(), 0)


def add_cells():
    ways = (Layers.get, Layers.get_small_pieces, Layers.mount, Layers.on_demand)
    for seeder, version, way in itertools.product((clients.LibTorrent, clients.SwarmFs),
                                                  ("v2", "hybrid"), ways):
        def test(self, cell=(way, seeder, version)):
            cell[0](self, *cell[1:])
        test.__name__ = f"test_{way.__name__}_{version}_from_{seeder.name}"
        setattr(Layers, test.__name__, test)


add_cells()

if __name__ == "__main__":
    unittest.main()
