"""Transmission and swarmfs in a swarm without a tracker, brought together by swarmfs's nodes.

Transmission asks and announces only once it knows some ten nodes, which takes it most of a minute:
hence not among the tests that run each time, but in scripts/test-long.
"""

import unittest

import clients
import dht_test
import foreign
import rig


class Transmission(dht_test.DhtCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(foreign.Transmission.absent())

    def test_transmission_gets_from_swarmfs(self):
        nodes = self.swarmfs_nodes()
        self.transfer(clients.SwarmFs(self.net.host("seed")),
                      foreign.Transmission(self.net.host("get"), dht=nodes),
                      self.through(nodes[3]), timeout=120)

    def test_swarmfs_gets_from_transmission(self):
        nodes = self.swarmfs_nodes()
        self.transfer(foreign.Transmission(self.net.host("seed"), dht=nodes),
                      clients.SwarmFs(self.net.host("get")), get_with=self.through(nodes[3]),
                      timeout=120)


if __name__ == "__main__":
    unittest.main()
