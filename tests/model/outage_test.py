#!/usr/bin/env python3
"""A mount whose only seed goes and comes back, and one that is told to end while reads wait."""

import errno
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from local_swarm import LocalSwarm  # noqa: E402

SWARMFS = sys.argv.pop(1)
SIZE, HALF = 8 << 20, 4 << 20

READ_REST = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
data = b""
try:
    while len(data) < 4 << 20:
        data += os.pread(fd, (4 << 20) - len(data), (4 << 20) + len(data))
except OSError as e:
    sys.exit(e.errno)
os.write(1, data)
"""


class Outage(unittest.TestCase):
    def setUp(self):
        self.swarm = LocalSwarm(SWARMFS, "outage")
        self.addCleanup(self.swarm.remove)
        self.addCleanup(self.swarm.close)
        self.data = random.Random(1).randbytes(SIZE)
        self.content = self.swarm.folder / "file"
        self.content.write_bytes(self.data)
        self.torrent = self.swarm.publish(self.content, "v1", 64 << 10)
        log = self.swarm.seed(self.torrent, self.content)
        self.port = self.swarm.port_of(log)
        self.seed = self.swarm.processes[-1]
        self.mount = self.swarm.mount([self.torrent], [f"127.0.0.1:{self.port}"])
        self.path = self.swarm.mount_point / "file"
        self.assertEqual(self.pread(HALF, 0), self.data[:HALF])

    def pread(self, length, offset):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)

    def reader_that_waits(self):
        self.seed.kill()
        self.seed.wait()
        reader = subprocess.Popen([sys.executable, "-c", READ_REST, self.path],
                                  stdout=subprocess.PIPE)
        self.addCleanup(reader.stdout.close)
        self.addCleanup(reader.kill)
        time.sleep(2)
        self.assertIsNone(reader.poll(), "it did not wait")
        return reader

    def test_reads_go_on_when_the_seed_is_back(self):
        reader = self.reader_that_waits()
        self.assertEqual(self.pread(HALF, 0), self.data[:HALF], "what is here is read meanwhile")
        self.swarm.start("seed-again", "seed", self.torrent, self.content,
                         "--listen", f"127.0.0.1:{self.port}")
        begin = time.monotonic()
        rest, _ = reader.communicate(timeout=60)
        print(f"the read went on {time.monotonic() - begin:.1f} s after the seed was back")
        self.assertEqual(reader.returncode, 0)
        self.assertEqual(rest, self.data[HALF:])

    def test_a_program_that_is_told_to_end_frees_who_waits(self):
        reader = self.reader_that_waits()
        begin = time.monotonic()
        self.mount.send_signal(signal.SIGTERM)
        self.assertEqual(reader.wait(20), errno.ENOTCONN)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(self.mount.wait(20), 0)
        self.assertFalse(os.path.ismount(self.swarm.mount_point))


if __name__ == "__main__":
    unittest.main()
