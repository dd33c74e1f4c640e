"""The hash table with npm's bittorrent-dht, which WebTorrent uses: as nodes that swarmfs goes
through, and as one that looks up and announces at nodes of swarmfs.

Not in the suite, as Debian has no package of it: WEBTORRENT names the folder where `npm install
bittorrent-dht` was run.  /usr/bin/python3 -m unittest -v dht_npm
"""

import os
import unittest

import clients
import rig
import webtorrent
from dht_test import FIRST_NODE, SIZE, DhtCase


class NpmDht(DhtCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(webtorrent.missing("bittorrent-dht"))

    def npm(self, host, *argv):
        node = host.start("npm-dht", ["node", clients.HERE / "npm_dht.mjs",
                                      os.environ["WEBTORRENT"], host.ip4, FIRST_NODE, *argv])
        node.wait_text("ready", 30)
        return node

    def test_swarmfs_through_npms_nodes(self):
        host = self.net.host("nodes")
        self.npm(host, SIZE, "-")
        nodes = self.addresses(host)
        self.transfer(clients.SwarmFs(self.net.host("seed")), clients.SwarmFs(self.net.host("get")),
                      self.through(nodes[3]), self.through(nodes[7]))

    def test_npm_finds_what_swarmfs_announces(self):
        nodes = self.swarmfs_nodes()
        seeder = clients.SwarmFs(self.net.host("seed"))
        seeder.seed(self.torrent, self.data, extra=self.through(nodes[3]))
        hash_hex = self.torrent.hashes[0].hex()
        asker = self.net.host("ask")
        rig.wait_for("the table to know the seed", lambda: seeder.address in self.ask(
            asker, "get-peers", hash_hex, *self.through(nodes[1]))["peers"], 30)
        looker = self.npm(self.net.host("look"), 1, nodes[5], "lookup", hash_hex)
        looker.wait_text(rf"peer {seeder.address}", 30)
        self.assertGreaterEqual(int(looker.wait_text(r"done (\d+)", 30)[1]), SIZE // 2)

    def test_swarmfs_finds_what_npm_announces(self):
        nodes = self.swarmfs_nodes()
        hash_hex = self.torrent.hashes[0].hex()
        announcer = self.net.host("announce")
        npm = self.npm(announcer, 1, nodes[5], "announce", hash_hex)
        self.assertGreaterEqual(int(npm.wait_text(r"done (\d+)", 30)[1]), SIZE // 2)
        found = self.ask(self.net.host("ask"), "get-peers", hash_hex, *self.through(nodes[1]))
        self.assertIn(f"{announcer.ip4}:4242", found["peers"])


if __name__ == "__main__":
    unittest.main()
