#!/usr/bin/env python3
"""`swarmfs unmount` of a mount that does not answer: its readers are freed, and it says how.

The program is stopped with SIGSTOP while a read waits: nothing of it answers any more. Needs root.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SWARMFS = sys.argv.pop(1) if len(sys.argv) > 1 else "swarmfs"
FUSECTL = "/sys/fs/fuse/connections"
NOBODY = 65534


def in_own_mount_table(fusectl, user, *words):
    """argv of a user's program that has a mount table of its own, with or without fusectl."""
    change = {"with": f"mountpoint -q {FUSECTL} || mount -t fusectl none {FUSECTL}",
              "without": f"! mountpoint -q {FUSECTL} || umount {FUSECTL}"}[fusectl]
    return ["unshare", "-m", "--propagation", "private", "sh", "-c",
            f"({change}) && exec \"$@\"", "sh",
            "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words]


def read_until_it_ends(path):
    """A process that reads a byte and ends with the errno."""
    code = ("import os,sys\nfd=os.open(sys.argv[1],os.O_RDONLY)\n"
            "try:\n os.pread(fd,1,0)\nexcept OSError as e:\n sys.exit(e.errno)\n")
    return subprocess.Popen([sys.executable, "-c", code, path])


def scenario(folder):
    """In the mount table it is to happen in. What is asserted is printed when it fails."""
    mountpoint = folder / "mnt"
    environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder), HOME=str(folder),
                       XDG_CACHE_HOME=str(folder))
    daemon = subprocess.Popen([SWARMFS, "mount", "-f", "--listen", "127.0.0.1:0",
                               folder / "x.torrent", mountpoint], env=environment)
    reader = worker = None
    try:
        deadline = time.monotonic() + 30
        while not os.path.ismount(mountpoint):
            assert time.monotonic() < deadline and daemon.poll() is None, "not mounted"
            time.sleep(0.02)
        reader = read_until_it_ends(mountpoint / "x")
        time.sleep(1)
        assert reader.poll() is None, f"the read ended with {reader.returncode}"
        status = subprocess.run([SWARMFS, "status", "--json", mountpoint], env=environment,
                                capture_output=True, text=True, check=True)
        worker = json.loads(status.stdout)["pid"]
        daemon.send_signal(signal.SIGSTOP)  # the supervisor first, which would replace the other
        os.kill(worker, signal.SIGSTOP)
        begin = time.monotonic()
        done = subprocess.run([SWARMFS, "unmount", mountpoint], env=environment, timeout=60,
                              capture_output=True, text=True)
        print(f"{done.returncode} {time.monotonic() - begin:.1f} s: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        assert "did not answer" in done.stderr and "connection cut" in done.stderr, done.stderr
        code = reader.wait(10)
        assert code in (103, 107), f"the reader ended with {code}"
        assert str(mountpoint) not in pathlib.Path("/proc/self/mountinfo").read_text()
    finally:
        daemon.kill()
        if worker:
            os.kill(worker, signal.SIGKILL)
        daemon.wait(10)
        if reader:
            reader.kill()
            reader.wait(10)
        subprocess.run(["fusermount3", "-u", "-z", "-q", mountpoint], stderr=subprocess.DEVNULL)


@unittest.skipIf(os.geteuid() != 0, "needs root, for a mount table of its own")
class Unmount(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="swarmfs-unmount-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "mnt").mkdir()
        (self.folder / "x").write_bytes(os.urandom(100_000))
        subprocess.run([SWARMFS, "publish", self.folder / "x", "-o", self.folder / "x.torrent"],
                       check=True, capture_output=True)
        (self.folder / "x").unlink()

    def run_in(self, fusectl, user=0):
        for path in [self.folder, *self.folder.iterdir()]:
            os.chown(path, user, user)
        done = subprocess.run(
            in_own_mount_table(fusectl, user, sys.executable, __file__, SWARMFS, "--scenario",
                               str(self.folder)),
            capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_frees_readers_through_fusectl(self):
        self.run_in("with")

    def test_frees_readers_where_fusectl_is_not_mounted(self):
        self.run_in("without")

    def test_frees_readers_of_an_ordinary_user_through_fusectl(self):
        try:
            for program in (SWARMFS, sys.executable):
                subprocess.run([program, "--version"], user=NOBODY, capture_output=True, check=True)
        except OSError as e:
            self.skipTest(f"another user may not run it from here: {e}")
        os.chmod("/dev/fuse", 0o666)
        self.run_in("with", NOBODY)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--scenario":
        scenario(pathlib.Path(sys.argv[2]))
    else:
        unittest.main()
