#!/usr/bin/env python3
"""fio writes files whose every block bears its place and checksum, and verifies them through a cold
mount: by read(), by a mapping, and by the kernel's two asynchronous interfaces."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from local_swarm import LocalSwarm  # noqa: E402

SWARMFS = sys.argv.pop(1)
SIZE = 12 << 20
ENGINES = ("psync", "mmap", "libaio", "io_uring")


def fio(path, engine, pattern, *options):
    """fio itself fails when a block is not what its header says."""
    return subprocess.run(
        ["fio", "--name=verify", f"--filename={path}", f"--ioengine={engine}", f"--rw={pattern}",
         "--bs=16k", f"--size={SIZE}", "--verify=crc32c", "--verify_fatal=1", "--randseed=7",
         "--thread", "--output-format=terse", *options],
        capture_output=True, text=True, timeout=100)


def io_uring_is_permitted():
    setting = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
    return not setting.exists() or setting.read_text().strip() == "0"


class Fio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.swarm = LocalSwarm(SWARMFS, "fio")
        cls.addClassCleanup(cls.swarm.remove)
        cls.addClassCleanup(cls.swarm.close)
        content = cls.swarm.folder / "data"
        content.mkdir()
        for engine in ENGINES:
            written = fio(content / engine, "psync", "write", "--do_verify=0")
            assert written.returncode == 0, written.stdout + written.stderr
        torrent = cls.swarm.publish(content, "hybrid", 256 << 10)
        port = cls.swarm.port_of(cls.swarm.seed(torrent, content))
        cls.swarm.mount([torrent], [f"127.0.0.1:{port}"])

    def verify(self, engine):
        for pattern in ("randread", "read"):  # first cold, then in order
            done = fio(self.swarm.mount_point / "data" / engine, engine, pattern, "--readonly")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertRegex(done.stdout, rf";verify;\d+;0;{SIZE >> 10};", "it read something else")

    def test_psync(self):
        self.verify("psync")

    def test_mmap(self):
        self.verify("mmap")

    def test_libaio(self):
        self.verify("libaio")

    def test_io_uring(self):
        if not io_uring_is_permitted():
            self.skipTest("this machine does not permit io_uring")
        self.verify("io_uring")

    def test_one_wrong_byte_would_be_noticed(self):
        path = self.swarm.folder / "wrong"
        data = bytearray((self.swarm.folder / "data" / "psync").read_bytes())
        data[SIZE // 2 + 1234] ^= 1
        path.write_bytes(data)
        self.assertNotEqual(fio(path, "psync", "randread", "--readonly").returncode, 0)


if __name__ == "__main__":
    unittest.main()
