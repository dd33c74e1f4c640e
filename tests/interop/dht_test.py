"""Swarms without a tracker: the hash table alone brings the peers together, and bytes are compared.

Nodes of swarmfs serve libtorrent, and swarmfs finds and announces through nodes of libtorrent.
Transmission, which takes its time, is in dht_transmission.py.
"""

import json
import unittest

import clients
import content
import rig

FILES = {"file.bin": 3 * content.MIB + 5}
FIRST_NODE = 7000
SIZE = 12  # nodes: Transmission announces to no table of fewer than about ten


class DhtCase(rig.NetCase):
    """A torrent without trackers, and ways to make a table."""

    limit = 150

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())

    def setUp(self):
        super().setUp()
        self.data = content.make_tree(self.net.dir / "data", files=FILES)
        self.torrent = content.make_torrent(self.data / "file.bin", self.net.dir / "t.torrent",
                                            "v1", content.PIECE)
        self.expected = content.digest(self.data)

    @staticmethod
    def addresses(host, count=SIZE):
        return [f"{host.ip4}:{FIRST_NODE + i}" for i in range(count)]

    def swarmfs_nodes(self, count=SIZE):
        """A table of swarmfs's nodes on one host; returns their addresses."""
        host = self.net.host("nodes")
        nodes = self.addresses(host, count)
        self.start_node(host, "--alone", "--listen", nodes[0])
        listen = [word for node in nodes[1:] for word in ("--listen", node)]
        self.table = self.start_node(host, "--dht-bootstrap", nodes[0], *listen, "--interval", "1")
        self.table.wait_text(rf"{SIZE // 2} nodes|\d\d nodes", 20)
        return nodes

    def start_node(self, host, *argv):
        node = host.start("dht", [clients.SWARMFS, "dht", *argv])
        node.wait_text("ready", 10)
        return node

    def ask(self, host, *argv):
        done = host.run([clients.SWARMFS, "dht", *argv, "--json"], timeout=60)
        self.assertIn(done.returncode, (0, 6), done.stderr)
        return json.loads(done.stdout)

    def transfer(self, seeder, getter, seed_with=(), get_with=(), timeout=60):
        """One has it, the other gets it, and neither was told of the other."""
        seeder.seed(self.torrent, self.data, **({"extra": seed_with} if seed_with else {}))
        out = self.net.dir / "out"
        out.mkdir()
        getter.download(self.torrent, out, **({"extra": get_with} if get_with else {}))
        getter.wait_done(timeout)
        self.assertEqual(content.digest(out), self.expected)

    @staticmethod
    def through(*nodes):
        return [word for node in nodes for word in ("--dht-bootstrap", node)]


class Dht(DhtCase):
    def test_swarmfs_through_swarmfs(self):
        nodes = self.swarmfs_nodes()
        seeder = clients.SwarmFs(self.net.host("seed"))
        self.transfer(seeder, clients.SwarmFs(self.net.host("get")), self.through(nodes[3]),
                      self.through(nodes[7]))
        hash_hex = self.torrent.hashes[0].hex()
        asker = self.net.host("ask")
        found = self.ask(asker, "get-peers", hash_hex, *self.through(nodes[1]))
        self.assertIn(seeder.address, found["peers"])
        self.assertGreaterEqual(found["answered"], 8)
        counted = self.ask(asker, "scrape", hash_hex, *self.through(nodes[1]))
        self.assertAlmostEqual(counted["seeds"] + counted["peers"], 2, delta=0.1)
        self.assertGreaterEqual(counted["seeds"], 0.9)
        self.assertEqual(len(self.ask(asker, "ping", nodes[2])["id"]), 40)
        kept = [self.ask(asker, "sample", node) for node in nodes]
        self.assertGreaterEqual(sum(hash_hex in k["samples"] for k in kept), 8)

    def test_two_peers_and_nobody_else(self):
        """The seed is the only node there is."""
        seeder = clients.SwarmFs(self.net.host("seed"))
        self.transfer(seeder, clients.SwarmFs(self.net.host("get")),
                      self.through(f"{seeder.host.ip4}:9"), self.through(seeder.address))

    def test_libtorrent_gets_from_swarmfs(self):
        nodes = self.swarmfs_nodes()
        self.transfer(clients.SwarmFs(self.net.host("seed")),
                      clients.LibTorrent(self.net.host("get"), dht=nodes[5]),
                      self.through(nodes[3]))

    def test_swarmfs_gets_from_libtorrent(self):
        nodes = self.swarmfs_nodes()
        self.transfer(clients.LibTorrent(self.net.host("seed"), dht=nodes[5]),
                      clients.SwarmFs(self.net.host("get")),
                      get_with=self.through(nodes[3]))

    def test_swarmfs_through_libtorrents_nodes(self):
        host = self.net.host("nodes")
        nodes = self.addresses(host)
        table = host.start("lt-dht", ["/usr/bin/python3", clients.HERE / "lt_dht.py", host.ip4,
                                      FIRST_NODE, "--count", SIZE])
        table.wait_text(r"\[[5-9](, [5-9])+\]|\[1\d(, 1\d)+\]", 30)
        self.transfer(clients.SwarmFs(self.net.host("seed")),
                      clients.SwarmFs(self.net.host("get")), self.through(nodes[3]),
                      self.through(nodes[7]))


if __name__ == "__main__":
    unittest.main()
