"""A network to measure on: hosts in namespaces, each with a link of its own rate, delay and loss.

    with Netlab() as lab:
        a = lab.host("a", up="40mbit", down="100mbit", delay="25ms", queue="100ms")
        b = lab.host("b", profile="far", loss=0.02)
        a.run(["ping", "-c", "3", b.ip4])
        playing = lab.play([(2.0, "b", {"down": "0"}), (5.0, "b", {"down": "40mbit"})])

A host is as in tests/interop/rig.py; between the hosts is a switch in user space (switch/), which
lives as long as the Netlab. README.md says what it models and how exactly.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [p for p in (str(HERE), str(HERE.parent / "interop")) if p not in sys.path]

import rig  # noqa: E402
from profiles import PROFILES, described  # noqa: E402,F401

TUN = pathlib.Path("/dev/net/tun")


class NetlabError(Exception):
    """What was refused. `code` is one word: of switch/control.h, or unknown_profile, or gone."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def missing():
    """Why a Netlab cannot be made here, or None."""
    why = rig.missing()
    if why:
        return why
    if not TUN.exists():
        return f"no {TUN} (mknod {TUN} c 10 200, and the kernel's tun)"
    if not os.environ.get("NETLAB_SWITCH") and shutil.which("c++") is None:
        return "no c++ to build the switch with, and no NETLAB_SWITCH"
    return None


def switch_binary():
    """The switch's program: $NETLAB_SWITCH, or one that is built here when a source is newer."""
    given = os.environ.get("NETLAB_SWITCH")
    if given:
        return pathlib.Path(given)
    built = TOP / "build" / "netlab" / "netlab_switch"
    sources = sorted((HERE / "switch").glob("*.cc"))
    newest = max(p.stat().st_mtime for p in (HERE / "switch").iterdir())
    if not built.exists() or built.stat().st_mtime < newest:
        built.parent.mkdir(parents=True, exist_ok=True)
        part = built.with_suffix(f".{os.getpid()}")  # two may build at the same time
        made = subprocess.run(["c++", "-std=c++20", "-O2", f"-I{TOP}", *sources, "-o", part],
                              capture_output=True, text=True)
        if made.returncode != 0:
            raise RuntimeError(f"the switch does not build:\n{made.stderr}")
        os.replace(part, built)
    return built


class Host(rig.BaseHost):
    """One machine on a Netlab. `link` is what was asked for last: {property: value}, all of them."""

    def __init__(self, net, name, number, link):
        self.link = link
        super().__init__(net, name, number)

    def plug(self):
        self.net.command("add", self.name, netns=f"/run/netns/{self.ns}", **self.link)

    def set(self, profile=None, **changes):
        """Changes the link from now on: all that is named, or nothing (NetlabError).

        With a profile, what is not named becomes the profile's.
        """
        if profile is not None:
            changes = _described(profile, changes)
        self.net.command("set", self.name, **changes)
        self.link = {**self.link, **changes}

    def cut(self):
        """Pulls the cable: what waits for it and what comes is lost. eth0 itself stays up."""
        self.net.command("set", self.name, up="0", down="0")

    def mend(self):
        """Puts the cable back in after cut()."""
        self.net.command("set", self.name, up=self.link["up"], down=self.link["down"])

    def counters(self):
        """What has happened on the link: see Counters in switch/network.h."""
        return {k: int(v) for k, v in self.net.command("count", self.name).items()}


def _described(profile, changes):
    try:
        return described(profile, changes)
    except KeyError:
        raise NetlabError("unknown_profile", f"there is no profile {profile!r}; there are "
                          + ", ".join(PROFILES)) from None


class Netlab(rig.BaseNet):
    """A switch and the hosts on it. The same seed draws the same losses for the same packets."""

    def __init__(self, seed=1):
        self.seed = seed
        self.switch = None
        self._lock = threading.Lock()
        self._players = []
        super().__init__()

    def set_up(self):
        path = self.dir / "switch.sock"
        self.switch = rig.Proc("switch", self.dir / "switch.log",
                               [switch_binary(), path, self.seed],
                               ["nsenter", f"--net=/run/netns/{self.ns}"])
        rig.wait_for("the switch", path.exists, 10, [self.switch])
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        rig.wait_for("the switch to answer",
                     lambda: self._socket.connect_ex(str(path)) == 0, 10, [self.switch])
        self._answers = self._socket.makefile()

    def host(self, name, profile="unshaped", **link):
        """A new host. `link` has up, down, delay, jitter, loss, queue, reorder (README.md), each
        instead of what the named profile says."""
        made = Host(self, name, len(self.hosts) + 1, _described(profile, link))
        self.hosts.append(made)
        return made

    def set(self, name, profile=None, **changes):
        """Host.set() of the host of that name."""
        for host in self.hosts:
            if host.name == name:
                return host.set(profile, **changes)
        raise NetlabError("unknown_port", f"there is no host {name!r}")

    def show(self, name):
        """The link as the switch has it: {property: text}."""
        return self.command("show", name)

    def play(self, schedule):
        """Carries out [(seconds from now, host name, changes as for set()), ...]: a Playing."""
        player = Playing(self, schedule)
        self._players.append(player)
        return player

    def command(self, verb, name, **values):
        """One command of switch/control.h; its answer as {key: text}. Raises NetlabError."""
        words = [verb, name]
        for key, value in values.items():
            words.append(f"{key}={str(value).lower() if isinstance(value, bool) else value}")
        if any(not w or w.split() != [w] for w in words):
            raise NetlabError("bad_command", f"a space in {words}")
        with self._lock:
            self._socket.sendall((" ".join(words) + "\n").encode())
            answer = self._answers.readline()
        if not answer:
            raise NetlabError("gone", "the switch has ended\n" + self.switch.tail())
        status, _, rest = answer.strip().partition(" ")
        if status != "ok":
            raise NetlabError(*rest.split(" ", 1))
        return dict(word.split("=", 1) for word in rest.split())

    def procs(self):
        return super().procs() + ([self.switch] if self.switch else [])

    def close(self):
        for player in self._players:
            player.stop()
        super().close()
        with contextlib.suppress(AttributeError):
            self._answers.close()
            self._socket.close()


class Playing:
    """A schedule that is being carried out by a thread of its own."""

    def __init__(self, lab, schedule):
        self._lab = lab
        self._schedule = sorted(schedule, key=lambda entry: entry[0])
        self._over = threading.Event()
        self._error = None
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for seconds, name, changes in self._schedule:
                if self._over.wait(max(0, self.began + seconds - time.monotonic())):
                    return
                self._lab.set(name, **changes)
        except Exception as error:  # pylint: disable=broad-except
            self._error = error

    def wait(self):
        """Returns when all of it is done; raises what went wrong."""
        self._thread.join()
        if self._error:
            raise self._error

    def stop(self):
        """Ends it wherever it is."""
        self._over.set()
        self._thread.join()
