#!/usr/bin/python3
"""A mount whose processes are killed: what its readers see, how soon it is back, what stays behind.

The real program, with a `swarmfs seed` on loopback. Usage:
supervisor_test.py PATH-OF-SWARMFS [--kills N] [--slack F] [TEST]...
--kills: so often the worker is killed in a row (10); --slack: times are allowed to be F times as
long as promised (1), for sanitizers."""

import contextlib
import errno
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import sys
import time
import unittest

from supervised import (ARGS, BUSY, DETACHED_WITHIN, FAILED, OK, REST, SERVED_WITHIN, SWARMFS,
                        Manager, SupervisorCase, alive, await_that, table, unmount)

KERNEL = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])


def open_files(pid):
    files = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            files.append(os.readlink(link))
    return files


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
        # Its last thread may take a moment longer.
        await_that("the mount is dead", lambda: os.strerror(errno.ENOTCONN)
                   in self.run_it("ls", self.point, code=2).stderr, 5)
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


class Unanswered(SupervisorCase):
    """A name server that says nothing."""

    def test_does_not_hold_up_the_end(self):
        if os.geteuid() != 0:
            self.skipTest("gives the program a name server of its own, which only root can")
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(("127.0.0.53", 53))
        names = self.dir / "resolv.conf"
        names.write_text("nameserver 127.0.0.53\n")
        process = self.foreground(
            "--dht-bootstrap", "node.example:6881", env={"SWARMFS_NO_DHT": ""},
            within=["unshare", "--mount", "sh", "-c",
                    'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(names)])
        server.settimeout(10)
        server.recv(512)  # it has asked, and waits
        process.terminate()
        self.assertEqual(process.wait(2 * ARGS.slack), OK)


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


    @unittest.skipIf(KERNEL < (6, 8), "the kernel gives mounts no numbers of their own")
    def test_a_stuck_mount_of_another_with_its_numbers_stays(self):
        self.mount()
        first, numbers = (self.worker, self.supervisor), self.entry()
        os.kill(self.worker, signal.SIGSTOP)
        unmount(self.point)
        self.point = self.home / "elsewhere"
        self.point.mkdir()
        self.cache = self.home / "another"
        self.mount()
        if self.entry() != numbers:
            print(f"the numbers differ: {numbers}, {self.entry()}", file=sys.stderr)
        os.kill(self.worker, signal.SIGSTOP)
        os.kill(first[0], signal.SIGKILL)
        await_that("the first one has ended", lambda: not any(alive(p) for p in first), 5)
        os.kill(self.worker, signal.SIGCONT)
        self.check_bytes()
        self.run_it(SWARMFS, "unmount", self.point)
        self.check_gone()


class Service(SupervisorCase):
    """What a service manager is told."""

    def test_the_conversation(self):
        for name in (str(self.dir / "notify"), f"@swarmfs-test-{os.getpid()}"):
            with self.subTest(socket=name):
                manager = Manager(self, name)
                process = self.foreground(manager=manager, env={"WATCHDOG_USEC": "2000000"})
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
        self.foreground("--watchdog", "0", manager=manager, env={"WATCHDOG_USEC": "2000000"})
        manager.forget()
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
        await_that("both write to a new log",
                   lambda: self.log.exists() and not any(
                       str(old) in open_files(pid) for pid in (self.worker, self.supervisor)), 5)
        before = old.read_text()
        self.check_bytes()
        self.kill_worker()
        await_that("the new log is written to", lambda: "SIGKILL" in self.log.read_text(), 5)
        self.assertNotIn(str(old), open_files(self.supervisor))
        self.assertEqual(old.read_text(), before)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
