#!/usr/bin/python3
"""A mount whose processes are killed: what its readers see, how soon it is back, what stays behind.

The real program, with a `swarmfs seed` on loopback. Usage:
supervisor_test.py PATH-OF-SWARMFS [--kills N] [--slack F] [TEST]...
--kills: so often the worker is killed in a row (10); --slack: times are allowed to be F times as
long as promised (1), for sanitizers."""

import argparse
import contextlib
import ctypes
import errno
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
        return {**os.environ, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime),
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

    def foreground(self, *extra, env=None, **kwargs):
        """In the foreground; returns when it is served."""
        process = subprocess.Popen(self.mount_argv("-f", *extra, **kwargs), cwd="/",
                                   env={**self.env(), **(env or {})}, stdin=subprocess.DEVNULL,
                                   **self.as_user())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        await_that("it is served", self.served, 20)
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


class Killed(SupervisorCase):
    """The worker dies, and the mount goes on."""

    def check_kills(self, kills):
        self.mount()
        self.check_bytes()
        times = [self.kill_and_read() for _ in range(kills)]
        print(f"\n{kills} kills: detached within {max(t[0] for t in times) * 1000:.0f} ms, "
              f"served again within {max(t[1] for t in times) * 1000:.0f} ms", file=sys.stderr)
        self.run_it(SWARMFS, "unmount", self.point)
        self.check_gone()

    def kill_and_read(self):
        times = self.kill_worker()
        self.check_bytes()
        return times

    def test_again_and_again(self):
        self.check_kills(ARGS.kills)

    def test_again_and_again_for_an_ordinary_user(self):
        self.be_ordinary()
        self.check_kills(max(2, ARGS.kills // 5))

    def test_by_any_signal_that_a_crash_has(self):
        self.mount()
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
            self.check_bytes()
            self.kill_worker(number)
        self.check_bytes()

    def test_readers_that_wait_get_an_error_at_once(self):
        self.mount(peer=False)  # nobody has the bytes
        readers = [self.start_reader() for _ in range(3)]
        begin = time.monotonic()
        self.kill_worker()
        for reader in readers:
            self.assertEqual(reader.wait(5), 0)
            self.assertIn(int(reader.stdout.read()), (errno.ENOTCONN, errno.ECONNABORTED))
        self.assertLess(time.monotonic() - begin, SERVED_WITHIN + 1)

    def test_what_was_recorded_is_not_fetched_again(self):
        self.mount()
        self.check_bytes()
        time.sleep(3)  # what is fetched is recorded every two seconds
        self.seed.send_signal(signal.SIGSTOP)
        self.addCleanup(self.seed.send_signal, signal.SIGCONT)
        self.kill_worker()
        self.check_bytes()
        self.assertEqual(self.status()["torrents"][0]["downloaded"], 0)

    def test_the_manifest_may_be_gone_by_then(self):
        self.torrent = self.dir / "gone.torrent"
        shutil.copy(type(self).torrent, self.torrent)
        self.mount("--on-demand")
        self.torrent.unlink()
        self.kill_worker()
        self.check_bytes()

    def test_not_served_again_if_not_wanted(self):
        process = self.foreground("--no-restart")
        os.kill(self.worker, signal.SIGKILL)
        self.assertEqual(process.wait(5), FAILED)
        self.check_gone()
        self.assertIn("SIGKILL", self.log.read_text())

    def test_a_loop_ends_with_a_reason(self):
        process = self.foreground()
        self.check_bytes()
        shutil.rmtree(self.cache)
        self.cache.write_text("no folder")  # what comes next cannot start
        os.kill(self.worker, signal.SIGKILL)
        self.assertNotEqual(process.wait(30 * ARGS.slack), OK)
        last = self.log.read_text().strip().splitlines()[-1]
        self.assertIn("is not served any more", last)
        self.assertIn("cache", last)
        self.check_gone()

    def test_a_worker_that_hangs_is_replaced(self):
        self.mount("--watchdog", "2")
        self.check_bytes()
        old = self.worker
        os.kill(old, signal.SIGSTOP)
        took = await_that("it is killed", lambda: not alive(old), 10)
        self.assertGreater(took, 1)
        await_that("it is served again", lambda: self.entry() and self.served(), 10)
        self.note_pids()
        self.assertNotEqual(self.worker, old)
        self.check_bytes()
        self.assertIn("does not answer", self.log.read_text())

    def test_an_idle_worker_is_not_taken_for_one_that_hangs(self):
        self.mount("--watchdog", "1")
        before = self.worker
        time.sleep(3)
        self.assertEqual(self.status()["pid"], before)


class Ended(SupervisorCase):
    """It ends when its user wants that, and leaves nothing."""

    def check_end(self, end):
        process = self.foreground()
        self.check_bytes()
        end()
        self.assertEqual(process.wait(10), OK)
        self.check_gone()
        time.sleep(0.5)
        self.assertIsNone(self.entry())

    def test_by_swarmfs_unmount(self):
        self.check_end(lambda: self.run_it(SWARMFS, "unmount", self.point))

    def test_by_umount(self):
        self.check_end(lambda: self.run_it("umount", self.point))

    def test_by_fusermount3(self):
        self.check_end(lambda: self.run_it("fusermount3", "-u", self.point))

    def test_by_a_signal_to_the_supervisor(self):
        self.check_end(lambda: os.kill(self.supervisor, signal.SIGINT))

    def test_by_a_signal_to_the_worker(self):
        self.check_end(lambda: os.kill(self.worker, signal.SIGTERM))

    def test_by_an_unmount_that_the_worker_does_not_live_to_see(self):
        process = self.foreground()
        os.kill(self.worker, signal.SIGSTOP)
        unmount(self.point)
        os.kill(self.worker, signal.SIGKILL)
        self.assertEqual(process.wait(10), FAILED)
        self.check_gone()

    def test_while_a_reader_waits(self):
        process = self.foreground(peer=False)
        reader = self.start_reader()
        process.terminate()
        self.assertEqual(process.wait(8), OK)
        self.assertEqual(reader.wait(5), 0)
        self.assertNotEqual(int(reader.stdout.read()), 0)
        self.check_gone()

    def test_a_worker_that_hangs_is_killed(self):
        process = self.foreground()
        os.kill(self.worker, signal.SIGSTOP)
        begin = time.monotonic()
        process.terminate()
        self.assertEqual(process.wait(12), FAILED)
        self.assertLess(time.monotonic() - begin, 8)
        self.check_gone()

    def check_killed_supervisor(self):
        self.mount()
        self.check_bytes()
        os.kill(self.supervisor, signal.SIGKILL)
        self.check_gone(8)

    def test_when_the_supervisor_is_killed(self):
        self.check_killed_supervisor()

    def test_when_the_supervisor_of_an_ordinary_user_is_killed(self):
        self.be_ordinary()
        self.check_killed_supervisor()

    def check_both_killed(self):
        self.mount()
        self.check_bytes()
        os.kill(self.supervisor, signal.SIGSTOP)
        os.kill(self.worker, signal.SIGKILL)
        os.kill(self.supervisor, signal.SIGKILL)
        await_that("both are dead", lambda: not any(alive(p) for p in self.pids), 5)
        self.assertIn(os.strerror(errno.ENOTCONN), self.run_it("ls", self.point, code=2).stderr)
        self.mount()
        self.check_bytes()
        self.assertEqual(len(table()[str(self.point)]), 1)
        self.run_it(SWARMFS, "unmount", self.point)
        self.check_gone()

    def test_when_both_are_killed_the_next_mount_clears_up(self):
        self.check_both_killed()

    def test_when_both_are_killed_an_ordinary_user_clears_up(self):
        self.be_ordinary()
        self.check_both_killed()


class Elsewhere(SupervisorCase):
    """The mount point is not ours alone."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("mounts other file systems, which only root can")

    def test_what_is_mounted_over_it_stays(self):
        process = self.foreground()
        self.run_it("mount", "-t", "tmpfs", "other", self.point)
        (self.point / "theirs").write_text("x")
        os.kill(self.worker, signal.SIGKILL)
        self.assertEqual(process.wait(10), BUSY)
        self.assertEqual((self.point / "theirs").read_text(), "x")
        self.assertEqual(self.entry()[1], "tmpfs")
        self.assertIn("mounted", self.log.read_text())

    def test_a_mount_that_was_moved_is_found(self):
        private = self.dir / "private"  # no mount leaves a file system that is shared
        private.mkdir()
        self.run_it("mount", "-t", "tmpfs", "private", private)
        self.run_it("mount", "--make-private", private)
        self.point = private / "mnt"
        elsewhere = private / "elsewhere"
        self.point.mkdir()
        elsewhere.mkdir()
        self.mount()
        self.check_bytes()
        self.run_it("mount", "--move", self.point, elsewhere)
        os.kill(self.worker, signal.SIGKILL)
        await_that("the dead mount is gone", lambda: str(elsewhere) not in table(),
                   DETACHED_WITHIN + 2)
        await_that("it is served where it was asked for", self.served, SERVED_WITHIN + 5)
        self.note_pids()
        self.check_bytes()
        self.run_it(SWARMFS, "unmount", self.point)
        self.check_gone()

    def test_the_mount_of_another_in_its_place_stays(self):
        """Both have the same numbers, as a rule: they are given out anew at once."""
        self.mount()
        numbers = self.entry()
        os.kill(self.worker, signal.SIGSTOP)
        unmount(self.point)
        first = (self.worker, self.supervisor)
        self.cache = self.home / "another"
        # A folder for its control socket, since the other still has that of this mount point.
        self.runtime = self.home / "runtime"
        self.runtime.mkdir()
        self.mount()
        if self.entry() != numbers:
            print(f"the numbers differ: {numbers}, {self.entry()}", file=sys.stderr)
        os.kill(first[0], signal.SIGKILL)
        await_that("the first one has ended", lambda: not any(alive(p) for p in first), 5)
        time.sleep(0.5)
        self.check_bytes()
        self.assertEqual(len(table()[str(self.point)]), 1)
        self.run_it(SWARMFS, "unmount", self.point)
        self.check_gone()


class Service(SupervisorCase):
    """What a service manager is told."""

    def test_the_conversation(self):
        for name in (str(self.dir / "notify"), f"@swarmfs-test-{os.getpid()}"):
            with self.subTest(socket=name):
                manager = Manager(self, name)
                process = self.foreground(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000000"})
                manager.await_line("READY=1")
                self.assertIn(f"MAINPID={process.pid}", manager.lines())
                manager.await_line("WATCHDOG=1")
                manager.await_line("STATUS=serving")
                manager.await_line("STATUS=100.0 %" if name[0] == "@" else "STATUS=")

                manager.forget()
                process.send_signal(signal.SIGHUP)
                manager.await_line("RELOADING=1")
                manager.await_line("MONOTONIC_USEC=")
                manager.await_line("READY=1")

                manager.forget()
                self.check_bytes()
                self.kill_worker()
                manager.await_line("READY=1")
                self.assertTrue(any("SIGKILL" in line for line in manager.lines()))
                manager.forget()
                manager.await_line("WATCHDOG=1")

                manager.forget()
                process.terminate()
                self.assertEqual(process.wait(10), OK)
                self.assertIn("STOPPING=1", manager.lines())
                self.check_gone()
                self.assertEqual({pid for _, pid in manager.seen}, {process.pid})

    def test_no_sign_of_life_for_a_worker_that_hangs(self):
        name = str(self.dir / "notify")
        manager = Manager(self, name)
        self.foreground("--watchdog", "0",
                        env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000000"})
        manager.await_line("WATCHDOG=1")
        os.kill(self.worker, signal.SIGSTOP)
        time.sleep(0.6)  # what was asked before
        manager.forget()
        time.sleep(2)
        self.assertNotIn("WATCHDOG=1", manager.lines())
        os.kill(self.worker, signal.SIGCONT)
        manager.await_line("WATCHDOG=1")

    def test_a_log_that_is_rotated(self):
        self.mount("-v")
        old = self.home / "log.1"
        os.rename(self.log, old)
        os.kill(self.supervisor, signal.SIGHUP)
        await_that("there is a new log", self.log.exists, 5)
        before = old.read_text()
        self.check_bytes()
        self.kill_worker()
        await_that("the new log is written to", lambda: "SIGKILL" in self.log.read_text(), 5)
        for pid in (self.worker, self.supervisor):
            files = [os.readlink(f) for f in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
            self.assertNotIn(str(old), files)
        self.assertEqual(old.read_text(), before)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
