"""Magnet links with the clients of other projects. They take their time: Transmission unchokes and
looks for peers every ten seconds. INTEROP_ALL=1 adds aria2.
"""

import os
import unittest

import clients
import foreign
import magnet_test
import trackers

CELLS = [(foreign.Transmission, "v1", clients.SwarmFsMount),
         (clients.SwarmFs, "v1", foreign.Transmission)]
if os.environ.get("INTEROP_ALL"):
    CELLS.append((clients.SwarmFs, "v1", foreign.Aria2))


class Clients(magnet_test.Cells):
    """Filled below."""

    def tracker(self, receiver):
        # aria2 says it has nothing left while it seeks metadata: our tracker shows seeds no seeds.
        return trackers.OpenTracker if receiver is foreign.Aria2 else trackers.EmbeddedTracker


magnet_test.add_cells(Clients, CELLS)

if __name__ == "__main__":
    unittest.main()
