#!/usr/bin/env python3
"""What fuse_floor shows is the folder it was given, so that it may stand beside others. Needs root."""
import filecmp
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

FLOOR = sys.argv.pop(1) if len(sys.argv) > 1 else "fuse_floor"


class Floor(unittest.TestCase):
    def test_shows_a_folder_as_it_is(self):
        if os.geteuid() != 0:
            self.skipTest("a mount without fusermount3 needs root")
        rng = random.Random(1)
        with tempfile.TemporaryDirectory() as name:
            source, mount = pathlib.Path(name) / "source", pathlib.Path(name) / "mnt"
            mount.mkdir()
            for number, size in enumerate((0, 1, 4096, 130000, 300001)):
                for folder in (source / "many", source / "a" / "b"):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / f"file {number}").write_bytes(rng.randbytes(size))
            for number in range(300):  # more than one answer holds
                (source / "many" / f"{number} {'x' * 200}").touch()
            server = subprocess.Popen([FLOOR, source, mount])
            try:
                until = time.monotonic() + 10
                while not os.path.ismount(mount) and time.monotonic() < until:
                    time.sleep(0.02)
                self.assertTrue(os.path.ismount(mount))
                paths = sorted(p.relative_to(source) for p in source.rglob("*"))
                self.assertEqual(sorted(p.relative_to(mount) for p in mount.rglob("*")), paths)
                for path in paths:
                    theirs, ours = (source / path).stat(), (mount / path).stat()
                    self.assertEqual((theirs.st_mode, theirs.st_size), (ours.st_mode, ours.st_size))
                    if (source / path).is_file():
                        self.assertTrue(filecmp.cmp(source / path, mount / path, shallow=False))
                self.assertFalse((mount / "none").exists())
            finally:
                subprocess.run(["umount", "-l", mount], check=False)
                self.assertEqual(server.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
