"""A small network of namespaces on one machine, and the processes that run in it.

Every host is a namespace with one link to the others, eth0, an IPv4 and an IPv6 address. In a Net
a bridge joins them; tests/netlab joins them by a switch with rates, delays and losses: what both
have alike is in BaseNet and BaseHost. Nothing of it touches the machine's own network.

The rule it keeps: everything made here ends with the Net, whatever happened. Names carry the pid
of the run, so what a killed run left behind is found and cleared by the next one, and two runs at
the same time do not meet. Every wait has a limit, and its failure shows the logs.

Only the network namespace is changed (never `ip netns exec`, which changes the mount namespace
too), so a FUSE mount made inside a Host is seen by everybody.
"""

import atexit
import contextlib
import ctypes
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PREFIX = "sfi"
TMP_PREFIX = "swarmfs-interop-"

# Nothing looks for public nodes of the hash table unless a test names some (--dht-bootstrap).
os.environ["SWARMFS_NO_DHT"] = "1"
# Nor does anybody find peers that a test has not named; those of LSD ask for it.
os.environ["SWARMFS_NO_LSD"] = "1"
# And nothing asks a router but where a test has one.
os.environ["SWARMFS_NO_PORT_MAPPING"] = "1"

TOOLS = ("ip", "tc", "nsenter", "fusermount3")


def skip(why):
    """Skips the tests of a class if there is a reason; with INTEROP_REQUIRED=1 it is a failure."""
    if why and os.environ.get("INTEROP_REQUIRED"):
        raise AssertionError(f"cannot run, and INTEROP_REQUIRED is set: {why}")
    if why:
        raise unittest.SkipTest(why)


def missing():
    """Why the rig cannot run here, or None."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    absent = [t for t in TOOLS if shutil.which(t) is None]
    if absent:
        return "not installed: " + ", ".join(absent)
    probe = f"{_PREFIX}{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode != 0:
        return "cannot make network namespaces here: " + made.stderr.strip()
    _run(["ip", "netns", "del", probe])
    return None


def _run(argv, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def wait_for(what, predicate, timeout, procs=(), step=0.05):
    """Polls until predicate() is true and returns its value.

    Raises AssertionError with the log tails after `timeout` seconds, or at once when one of
    `procs` has died.
    """
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        for proc in procs:
            if not proc.alive():
                raise AssertionError(
                    f"{proc.name} ended ({proc.popen.returncode}) while waiting for {what}\n"
                    + proc.tail())
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {timeout} s: {what}\n" + "\n".join(p.tail() for p in procs))
        time.sleep(step)


class Proc:
    """A process, its output in a log file. Dies with the Python thread that made it.

    `prefix` is the beginning of the command line that brings it where it belongs: host.prefix().
    """

    def __init__(self, name, log, argv, prefix=(), env=None, cwd=None):
        self.name = name
        self.log = pathlib.Path(log)
        self.argv = [str(a) for a in argv]
        with open(self.log, "wb") as out:
            self.popen = subprocess.Popen(
                [*prefix, *self.argv], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                preexec_fn=_die_with_parent)
        self.popen_pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        return self.log.read_text(errors="replace")

    def tail(self, lines=40):
        last = self.text().splitlines()[-lines:]
        state = "running" if self.alive() else f"ended {self.popen.returncode}"
        return "\n".join([f"--- {self.name} ({state}): {' '.join(self.argv)}"] + last)

    def wait(self, timeout):
        """Its exit status; raises AssertionError when it is still running after `timeout` s."""
        wait_for(f"{self.name} to end", lambda: not self.alive(), timeout)
        return self.popen.returncode

    def wait_text(self, pattern, timeout):
        """Waits until the log matches the regular expression; returns the match."""
        return wait_for(f"{pattern!r} from {self.name}",
                        lambda: re.search(pattern, self.text()), timeout, [self])

    def stop(self, timeout=5):
        """SIGTERM, then SIGKILL after `timeout` s. Returns the exit status."""
        if self.alive():
            self._signal(signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                return self.wait(timeout)
            self._signal(signal.SIGKILL)
        return self.popen.wait(10)

    def kill(self):
        self._signal(signal.SIGKILL)

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class BaseHost:
    """One machine on a network: a namespace with eth0, `ip4` and `ip6`.

    A kind of network says in plug() how eth0 comes into the namespace, and in cut() how it is
    pulled.
    """

    def __init__(self, net, name, number):
        self.net, self.name, self.number = net, name, number
        self.ns = f"{net.ns}-{name}"
        self.ip4 = f"10.77.{number // 250}.{number % 250 + 1}"
        self.ip6 = f"fd77::{number + 1:x}"
        self.procs = []
        _run(["ip", "netns", "add", self.ns])
        try:
            self.plug()
            batch(self.ns, "link set lo up", f"addr add {self.ip4}/16 dev eth0",
                  f"addr add {self.ip6}/64 dev eth0 nodad", "link set eth0 up")
        except BaseException:
            _delete_namespace(self.ns)
            raise

    def plug(self):
        """Makes eth0 in the namespace, and the other end of its cable."""
        raise NotImplementedError

    def cut(self):
        """Pulls the cable."""
        raise NotImplementedError

    def prefix(self):
        """The beginning of a command line that runs on this host."""
        return ["nsenter", f"--net=/run/netns/{self.ns}"]

    def start(self, name, argv, **kwargs):
        """Starts a command on this host: a Proc, which ends with the network."""
        log = self.net.dir / f"{self.name}-{name}-{len(self.procs)}.log"
        proc = Proc(f"{self.name}:{name}", log, argv, self.prefix(), **kwargs)
        self.procs.append(proc)
        return proc

    def run(self, argv, timeout=60, user=None, **kwargs):
        """Runs a command to its end, as root or another user: CompletedProcess with text output.

        Killed after `timeout` s, and then AssertionError. Never use plain reads of a mount in this
        process instead: one that hangs could not be ended.
        """
        kwargs.setdefault("capture_output", True)
        kwargs.setdefault("text", True)
        name = pathlib.Path(str(argv[0])).name
        as_user = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}",
                   "--clear-groups", "--"] if user else []
        try:
            return subprocess.run(self.prefix() + as_user + [str(a) for a in argv], timeout=timeout,
                                  stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent, **kwargs)
        except subprocess.TimeoutExpired as e:
            raise AssertionError(f"{name} hung for {timeout} s: {argv}") from e

    @contextlib.contextmanager
    def inside(self):
        """The calling thread's new sockets belong to this host while the block runs."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.ns}") as there:
            _setns(there.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def listening(self, port, udp=False):
        table = "/proc/thread-self/net/" + ("udp" if udp else "tcp")
        with self.inside():
            rows = pathlib.Path(table).read_text() + pathlib.Path(table + "6").read_text()
        state = "07" if udp else "0A"
        return re.search(rf":{port:04X} [0-9A-F]+:0000 {state} ", rows) is not None

    def connections(self, other=None):
        """Established TCP connections (with `other`, a Host)."""
        out = self.run(["ss", "-Htn", "state", "established"]).stdout.splitlines()
        return [l for l in out if other is None or other.ip4 in l or other.ip6 in l]

    def sent(self):
        """Bytes that left this host, headers included."""
        out = _run(["ip", "-n", self.ns, "-j", "-s", "link", "show", "eth0"])
        return json.loads(out)[0]["stats64"]["tx"]["bytes"]


class Host(BaseHost):
    """One machine on a Net."""

    def plug(self):
        link = f"v{self.number}"
        batch(self.net.ns, f"link add {link} type veth peer name eth0 netns {self.ns}",
              f"link set {link} master br0 up")

    def shape(self, bits_per_second):
        """Limits what this host sends. The queue is short (about 100 ms, at least 64 KiB)."""
        queue = max(65536, bits_per_second // 80)
        tc = self.prefix() + ["tc"]
        _run(tc + "qdisc replace dev eth0 root handle 1: htb default 1".split())
        _run(tc + f"class replace dev eth0 parent 1: classid 1:1 htb rate {bits_per_second} "
                  f"burst 32k cburst 32k".split())
        _run(tc + f"qdisc replace dev eth0 parent 1:1 handle 2: bfifo limit {queue}".split())

    def cut(self):
        _run(["ip", "-n", self.net.ns, "link", "set", f"v{self.number}", "down"])

    def mend(self):
        _run(["ip", "-n", self.net.ns, "link", "set", f"v{self.number}", "up"])


class BaseNet:
    """Hosts that are joined, a namespace for what joins them, and a directory for their files and
    logs. A context manager; close() ends everything too.

    A kind of network says in set_up() how what joins them is made, and has a method host() that
    adds one.
    """

    _count = 0

    def __init__(self):
        _clean_leftovers_once()
        BaseNet._count += 1
        self.ns = f"{_PREFIX}{os.getpid()}n{BaseNet._count}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{TMP_PREFIX}{os.getpid()}-"))
        self.dir.chmod(0o755)
        self.hosts = []
        self._closed = False
        atexit.register(self.close)
        try:
            _run(["ip", "netns", "add", self.ns])
            self.set_up()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def set_up(self):
        """Makes what joins the hosts."""
        raise NotImplementedError

    def procs(self):
        """Every process started here, of all hosts."""
        return [p for h in self.hosts for p in h.procs]

    def logs(self):
        return "\n".join(p.tail() for p in self.procs())

    def close(self):
        """Ends every process, mount and namespace. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        # Mounts first: a reader stuck in one cannot be killed before.
        _detach_mounts_below(self.dir)
        for proc in self.procs():
            proc.kill()
        for ns in [h.ns for h in self.hosts] + [self.ns]:
            _delete_namespace(ns)
        for proc in self.procs():
            with contextlib.suppress(subprocess.TimeoutExpired):
                proc.popen.wait(5)
        _detach_mounts_below(self.dir)
        if not os.environ.get("INTEROP_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


class Net(BaseNet):
    """Hosts on a bridge in a namespace of its own, as fast as the machine."""

    def set_up(self):
        # No querier here: with multicast snooping on, IPv6 neighbour discovery can be lost.
        batch(self.ns, "link add br0 type bridge forward_delay 0 mcast_snooping 0",
              "link set br0 up")

    def host(self, name):
        made = Host(self, name, len(self.hosts) + 1)
        self.hosts.append(made)
        return made


def batch(ns, *lines):
    """Runs lines of ip(8) in a namespace."""
    _run(["ip", "-n", ns, "-batch", "-"], input="\n".join(lines) + "\n")


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _delete_namespace(ns):
    for _ in range(20):
        pids = subprocess.run(["ip", "netns", "pids", ns], capture_output=True, text=True)
        left = [int(p) for p in pids.stdout.split()]
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    subprocess.run(["ip", "netns", "del", ns], capture_output=True)


def mounts_below(directory):
    """(mount point, device number) of what is mounted below a directory, deepest first."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = fields[4].encode().decode("unicode_escape").encode("latin-1").decode()
        if point.startswith(f"{directory}/"):
            found.append((point, fields[2]))
    return found[::-1]


def abort_fuse(device):
    """Answers every waiting request of a FUSE mount with an error, whatever its daemon does."""
    control = pathlib.Path("/sys/fs/fuse/connections")
    if not any(control.iterdir()):
        subprocess.run(["mount", "-t", "fusectl", "none", control], capture_output=True)
    with contextlib.suppress(OSError):
        (control / device.split(":")[1] / "abort").write_text("1")


def _detach_mounts_below(directory):
    for point, device in mounts_below(directory):
        abort_fuse(device)
        subprocess.run(["umount", "-l", point], capture_output=True)


_cleaned = False


def _clean_leftovers_once():
    """Clears what runs that were killed have left: found by name, theirs if their pid is gone."""
    global _cleaned
    if _cleaned:
        return
    _cleaned = True
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for ns in re.findall(rf"^({_PREFIX}\d+\S*)", listed, re.M):
        if not _running(re.match(rf"{_PREFIX}(\d+)", ns)[1]):
            _delete_namespace(ns)
    for left in pathlib.Path(tempfile.gettempdir()).glob(TMP_PREFIX + "*"):
        if not _running(left.name[len(TMP_PREFIX):].split("-")[0]):
            _detach_mounts_below(left)
            if not os.environ.get("INTEROP_KEEP"):
                shutil.rmtree(left, ignore_errors=True)


def _running(pid):
    return os.path.exists(f"/proc/{pid}")


class NetCase(unittest.TestCase):
    """A test with a network of its own, a time limit, and the logs shown when it fails."""

    limit = 120
    make_net = Net

    @classmethod
    def setUpClass(cls):
        skip(missing())
        # So that a stop from outside unwinds, and the Net is closed.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def setUp(self):
        def expire(*_):
            raise AssertionError(f"the test took more than {self.limit} s")
        signal.signal(signal.SIGALRM, expire)
        signal.alarm(self.limit)
        self.addCleanup(signal.alarm, 0)
        self.net = self.make_net()
        self.addCleanup(self.net.close)

    def run(self, result=None):
        self._result = result or self.defaultTestResult()
        self._bad_before = len(self._result.failures) + len(self._result.errors)
        return super().run(self._result)

    def failed(self):
        """Whether this test has failed so far."""
        return len(self._result.failures) + len(self._result.errors) > self._bad_before

    def tearDown(self):
        if self.failed():
            print(f"\n=== logs of {self.id()}\n{self.net.logs()}", file=sys.stderr)
