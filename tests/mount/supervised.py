"""The real program, mounted for a test that kills its processes, and a `swarmfs seed` on loopback."""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PARSER = argparse.ArgumentParser()
PARSER.add_argument("swarmfs")
PARSER.add_argument("--kills", type=int, default=10)
PARSER.add_argument("--slack", type=float, default=1)
ARGS, REST = PARSER.parse_known_args()
SWARMFS = os.path.abspath(ARGS.swarmfs)

DETACHED_WITHIN = 1 * ARGS.slack
SERVED_WITHIN = 3 * ARGS.slack
OK, FAILED, BUSY = 0, 1, 7
SIZE = 3 * 1024 * 1024 + 77
BLOCKS = -(-SIZE // 4096)
USER = "nobody"


def await_that(what, predicate, timeout, step=0.005):
    """Polls until it is true: how long that took. AssertionError if it takes longer."""
    begin = time.monotonic()
    while not predicate():
        if time.monotonic() - begin > timeout:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(step)
    return time.monotonic() - begin


def table():
    """{mount point: [(number, type), ...]}, the later ones last."""
    found = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind = fields[fields.index("-") + 1]
        point = fields[4].encode().decode("unicode_escape")
        found.setdefault(point, []).append((fields[2], kind))
    return found


def unmount(point):
    """The bare system call: umount(8) looks at the mount first, and would wait for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(point), 0) != 0:
        raise OSError(ctypes.get_errno(), "umount2")


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Manager:
    """The socket of a service manager."""

    def __init__(self, case, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind("\0" + name[1:] if name[0] == "@" else name)
        self.seen = []  # (lines, pid that sent them)

    def pull(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                data, cred, _, _ = self.socket.recvmsg(4096, 64, socket.MSG_DONTWAIT)
                pid = int.from_bytes(cred[0][2][:4], sys.byteorder)
                self.seen.append((data.decode(), pid))

    def lines(self):
        self.pull()
        return [line for text, _ in self.seen for line in text.split("\n")]

    def await_line(self, start, timeout=20):
        await_that(f"{start} in {self.lines()}",
                   lambda: any(line.startswith(start) for line in self.lines()), timeout)

    def forget(self):
        self.pull()
        self.seen = []


class SupervisorCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix="swarmfs-supervisor-"))
        cls.shared.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.content = random.Random(7).randbytes(SIZE)
        cls.file = cls.shared / "file.bin"
        cls.file.write_bytes(cls.content)
        cls.torrent = cls.shared / "t.torrent"
        subprocess.run([SWARMFS, "publish", cls.file, "-o", cls.torrent, "--piece-size", "65536"],
                       check=True, capture_output=True)
        cls.seed = subprocess.Popen(
            [SWARMFS, "seed", cls.torrent, cls.file, "--listen", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(cls.seed.stdout.close)
        cls.addClassCleanup(cls.seed.wait)
        cls.addClassCleanup(cls.seed.kill)
        cls.peer = f"127.0.0.1:{json.loads(cls.seed.stdout.readline())['port']}"

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="swarmfs-supervisor-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.dir.chmod(0o755)
        self.home = self.dir / "home"
        self.point = self.dir / "mnt"
        for folder in (self.home, self.point):
            folder.mkdir()
        self.log = self.home / "log"
        self.cache = self.home / "cache"
        self.runtime = self.home
        self.user = None
        self.pids = []
        self.addCleanup(self.clear)

    def clear(self):
        """Ends whatever a failed test left."""
        for pid in reversed(self.pids):  # supervisors first
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for point, entries in table().items():
            for _ in entries if point.startswith(f"{self.dir}/") else ():
                subprocess.run(["umount", "-l", point], capture_output=True)
        if self._outcome.success is False and self.log.exists():
            print(self.log.read_text(), file=sys.stderr)

    # --- What a user does

    def env(self):
        return {"SWARMFS_NO_DHT": "1", "SWARMFS_NO_LSD": "1", "SWARMFS_NO_PORT_MAPPING": "1",
                **os.environ, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime),
                "XDG_CACHE_HOME": str(self.cache)}

    def as_user(self):
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid,
                "extra_groups": []} if self.user else {}

    def run_it(self, *argv, code=0, timeout=30):
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True,
                              timeout=timeout, env=self.env(), cwd="/", **self.as_user())
        if code is not None:
            self.assertEqual(done.returncode, code, f"{argv}: {done.stdout}{done.stderr}")
        return done

    def mount_argv(self, *extra, peer=True):
        argv = [SWARMFS, "mount", self.torrent, self.point, "--log-file", self.log, *extra]
        return [str(a) for a in (argv + ["--peer", self.peer] if peer else argv)]

    def mount(self, *extra, code=0, **kwargs):
        done = self.run_it(*self.mount_argv(*extra, **kwargs), code=code)
        if code == 0:
            self.note_pids()
        return done

    def foreground(self, *extra, manager=None, env=None, within=(), **kwargs):
        """In the foreground, started by the command `within`; returns when it says that it is
        ready, to a manager of its own unless there is one."""
        manager = manager or Manager(self, f"@swarmfs-test-{os.getpid()}-{id(extra)}")
        process = subprocess.Popen(
            [*within, *self.mount_argv("-f", *extra, **kwargs)], cwd="/", stdin=subprocess.DEVNULL,
            env={**self.env(), "NOTIFY_SOCKET": manager.name, **(env or {})}, **self.as_user())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        manager.await_line("READY=1")
        self.note_pids()
        self.assertEqual(self.supervisor, process.pid)
        return process

    def status(self):
        """What `swarmfs status` prints, from the socket it asks: a process each time is slow."""
        digest = hashlib.sha1(str(self.point).encode()).hexdigest()[:16]
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(5)
            try:
                control.connect(str(self.runtime / "swarmfs" / f"{digest}.sock"))
                control.sendall(b'{"version":1,"command":"status"}\n')
                with control.makefile() as reply:
                    return json.loads(reply.readline())["status"]
            except (OSError, ValueError):
                return None

    def note_pids(self):
        status = self.status()
        self.worker, self.supervisor = status["pid"], status["supervisor_pid"]
        self.pids += [self.worker, self.supervisor]

    def read(self):
        """The digest of the file, read by a process of its own."""
        done = self.run_it("sha256sum", self.point / "file.bin", code=None)
        return done.stdout.split()[0] if done.returncode == 0 else None

    def served(self):
        return self.entry() is not None and self.status() is not None

    def entry(self):
        found = table().get(str(self.point))
        return found[-1] if found else None

    # --- What must be so

    def check_bytes(self):
        self.assertEqual(self.read(), hashlib.sha256(self.content).hexdigest())

    def check_gone(self, timeout=10):
        """No process and no mount of it is left."""
        await_that("its processes have ended",
                   lambda: not any(alive(pid) for pid in self.pids), timeout)
        self.assertIsNone(self.entry())

    def kill_worker(self, number=signal.SIGKILL):
        """Kills it and waits until it is served again: seconds until detached, until served."""
        before, begin = self.entry(), time.monotonic()
        os.kill(self.worker, number)
        # Another mount may have the number of the dead one: its process is what tells them apart.
        detached = await_that("the dead mount is gone", lambda: self.entry() is None
                              or not alive(self.worker) and self.answers(), DETACHED_WITHIN + 2)
        self.assertIsNotNone(before)
        await_that("it is served again", self.answers, SERVED_WITHIN + 5)
        served = time.monotonic() - begin
        self.assertLess(detached, DETACHED_WITHIN)
        self.assertLess(served, SERVED_WITHIN)
        old = self.worker
        await_that("its status", self.served, 10)
        self.note_pids()
        self.assertNotEqual(self.worker, old)
        return detached, served

    def answers(self):
        """Whether a process serves it: statfs is asked for anew each time, and says our size."""
        if self.user:  # root may not look
            done = self.run_it("stat", "-f", "-c", "%b", self.point, code=None)
            return done.stdout.strip() == str(BLOCKS)
        try:
            return os.statvfs(self.point).f_blocks == BLOCKS
        except OSError:
            return False

    def start_reader(self):
        """A process that reads bytes nobody has: prints its errno when that ends."""
        script = ("import os, sys\n"
                  f"fd = os.open({str(self.point / 'file.bin')!r}, os.O_RDONLY)\n"
                  "print('reads', flush=True)\n"
                  "try:\n    os.pread(fd, 4096, 1 << 20)\n    print(0, flush=True)\n"
                  "except OSError as e:\n    print(e.errno, flush=True)\n")
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                                   text=True, **self.as_user())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "reads\n")
        await_that("its read waits",
                   lambda: self.status()["torrents"][0]["waiting_reads"] > 0, 10)
        return process

    def be_ordinary(self):
        if os.geteuid() != 0:
            self.skipTest("becomes another user, which only root can")
        self.user = USER
        entry = pwd.getpwnam(USER)
        for folder in (self.home, self.point):
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        if self.run_it(SWARMFS, "--version", code=None).returncode != 0:
            self.skipTest(f"{USER} may not run {SWARMFS}")
