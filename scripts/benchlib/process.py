"""A measured client: one process tree, its CPU seconds and its peak of anonymous memory."""
import os
import pathlib
import signal
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.01


def threads(pid):
    """Their folders in /proc; none once the process has ended."""
    try:
        return list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def tree(pid):
    """The process and its descendants that are alive."""
    found, left = [], [pid]
    while left:
        current = left.pop()
        found.append(current)
        for task in threads(current):
            try:
                left += [int(p) for p in (task / "children").read_text().split()]
            except OSError:  # it has ended meanwhile
                pass
    return found


def anonymous_bytes(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def cpu_seconds(pid):
    """User and system time of one process, with the children it has waited for."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(f) for f in fields[11:15]) / TICKS


class Client:
    """Starts a command on a host of the rig and watches it until stop(). `began` is its birth."""

    def __init__(self, host, argv, log, env=None):
        self.log = pathlib.Path(log)
        self.peak_anonymous = 0
        self.final_cpu = None
        self._over = threading.Event()
        with open(self.log, "ab") as out:
            self.began = time.monotonic()
            self.popen = subprocess.Popen(
                host.prefix() + [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self):
        while not self._over.wait(SAMPLE_SECONDS):
            now = sum(anonymous_bytes(pid) for pid in tree(self.popen.pid))
            self.peak_anonymous = max(self.peak_anonymous, now)

    def cpu(self):
        """CPU seconds so far, children included."""
        if self.final_cpu is not None:
            return self.final_cpu
        return sum(cpu_seconds(pid) for pid in tree(self.popen.pid))

    def alive(self):
        if self.popen.returncode is None:
            pid, status, usage = os.wait4(self.popen.pid, os.WNOHANG)
            if pid:
                self.popen.returncode = os.waitstatus_to_exitcode(status)
                self.final_cpu = usage.ru_utime + usage.ru_stime
        return self.popen.returncode is None

    def wait(self, timeout):
        """Waits for its end; False when it is still running after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self):
        """Ends it, by force after five seconds."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive():
                break
            try:
                os.killpg(self.popen.pid, number)
            except ProcessLookupError:
                pass
            self.wait(5)
        self._over.set()
        self._watcher.join(2)
