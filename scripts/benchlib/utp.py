"""scripts/bench utp: uTP between two swarmfs, beside TCP and Transmission, on links of tests/netlab.

Rates are of what the packets of a seed carry, as a share of 100 Mbit/s; CPU is of both ends.
"""
import argparse
import pathlib
import random
import sys
import time
import types

from .command import add_options, chosen, conclude, netlab_missing
from .figures import SUBJECT, Figure
from .process import cpu_seconds

HERE = pathlib.Path(__file__).resolve().parent
PORT = 6881
MIB = 1 << 20
RATE = 100e6
LINK = {"up": "100mbit", "down": "100mbit"}
FULL, PAYLOAD = 1514, 1452  # Ethernet, IPv4, UDP and uTP around a packet that is full, as we send it
CASES = ("alone", "far", "beside", "cpu")


def arguments(words):
    parser = argparse.ArgumentParser(prog="bench utp", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer seconds")
    parser.add_argument("--cases", metavar="NAMES", help="of " + ",".join(CASES))
    add_options(parser)
    args = parser.parse_args(words)
    args.cases = chosen(parser, args.cases, CASES)
    return args


class Bench:
    def __init__(self, binary, quick):
        self.binary, self.seconds = binary, 12 if quick else 30
        self.figures = []

    def note(self, what, value, unit, limit=None, at_least=True):
        goal = "" if limit is None else f"{'>=' if at_least else '<='} {limit:.3g}"
        self.figures.append(Figure(what, unit, {SUBJECT: value}, limit, goal, at_least))
        print(f"{what}: {self.figures[-1].cell(SUBJECT)}", file=sys.stderr, flush=True)

    def pair(self, lab, size, rtt, trackers=(), **how):
        """Two hosts, and a torrent of one file that lies at the first. `how` is the second's link."""
        from content import make_torrent
        from .stage import link
        seed = lab.host("seed", **link(rtt, **LINK))
        client = lab.host("client", **link(rtt, **LINK, **how))
        path, torrent = lab.dir / "data" / "file.bin", lab.dir / "file.torrent"
        path.parent.mkdir()
        with open(path, "wb") as out:
            rng = random.Random(size)
            for _ in range(size // MIB):
                out.write(rng.randbytes(MIB))
        make_torrent(path, torrent, "v1", MIB, list(trackers))
        return seed, client, path, torrent

    def start(self, seed, client, path, torrent, transport):
        options = {"utp": ["--utp", "--no-tcp"], "tcp": []}[transport]
        seeding = seed.start("seed", [self.binary, "seed", torrent, path, "--listen",
                                      f"0.0.0.0:{PORT}", *options])
        seeding.wait_text(r"\n", 60)
        client.run(["ping", "-c", 1, seed.ip4])
        self.hashing = cpu_seconds(seeding.popen_pid)  # what it took to look at its content
        getting = client.start("get", [
            self.binary, "get", torrent, "-o", torrent.parent / "out", "--listen", f"0.0.0.0:{PORT}", "--peer", f"{seed.ip4}:{PORT}", *options])
        return seeding, getting

    def carried(self, host, seconds):
        """Bits a second of payload that a host sends in that time, if its packets are full."""
        before, began = host.sent(), time.monotonic()
        time.sleep(seconds)
        return 8 * (host.sent() - before) / (time.monotonic() - began) * PAYLOAD / FULL

    def alone(self, lab_of):
        for transport, goal in (("tcp", None), ("utp", 0.9)):
            with lab_of() as lab:
                how = self.pair(lab, 64 * MIB + int(self.seconds * RATE / 8) // MIB * MIB, 0.05)
                procs = self.start(*how, transport)
                time.sleep(5)
                rate = self.carried(how[0], self.seconds)
                assert procs[1].alive(), procs[1].tail()
                self.note(f"alone, 50 ms, {transport}", rate / RATE, "of the link", goal)

    def far(self, lab_of):
        import measure
        with lab_of() as lab:
            # Losses are of the client's link, which is one of both that a packet passes.
            how = self.pair(lab, 256 * MIB, 0.2, loss=0.001)
            measure.start_iperf_server(how[1])
            cubic = measure.tcp_rate(how[0], how[1], self.seconds)
            procs = self.start(*how, "utp")
            time.sleep(5)
            rate = self.carried(how[0], self.seconds)
            assert procs[1].alive(), procs[1].tail()
            self.note("200 ms, 0.1 % lost, CUBIC", cubic / 1e6, "Mbit/s")
            self.note("200 ms, 0.1 % lost, uTP", rate / 1e6, "Mbit/s", cubic / 1e6)

    def beside(self, lab_of):
        import measure
        from .stage import link
        for queue in ("20ms", "50ms", "100ms"):
            with lab_of() as lab:
                size = 32 * MIB + int(8 * RATE / 8) // MIB * MIB + 128 * MIB
                how = self.pair(lab, size, 0.05, queue=queue)
                other = lab.host("other", **link(0.05, **LINK))
                measure.start_iperf_server(how[1])
                procs = self.start(*how, "utp")
                time.sleep(8)
                flow = measure.start_iperf(other, how[1], self.seconds + 4, ["--congestion", "cubic"])
                time.sleep(4)
                before = other.sent()
                rate = self.carried(how[0], self.seconds)
                tcp = 8 * (other.sent() - before) / self.seconds * PAYLOAD / FULL
                assert procs[1].alive(), procs[1].tail()
                flow.stop()
                self.note(f"beside CUBIC, queue of {queue}: uTP has", rate / (rate + tcp),
                          "of both", 0.2, False)

    def cpu(self, lab_of):
        import foreign
        size = 64 * MIB
        per = {}
        for name in ("swarmfs", "transmission"):
            if name == "transmission" and foreign.Transmission.absent():
                continue
            with lab_of() as lab:
                tracker = lab.host("tracker")
                seed_ip = tracker.ip4.rsplit(".", 1)[0] + ".3"  # the next host's
                tracker.start("tracker", [sys.executable, HERE / "tracker.py", 8000,
                                          f"{seed_ip}:{PORT}"])
                how = self.pair(lab, size, 0.01, [f"http://{tracker.ip4}:8000/announce"])
                assert how[0].ip4 == seed_ip
                if name == "swarmfs":
                    procs = [*self.start(*how, "utp")]
                    while procs[1].alive():
                        seen = [cpu_seconds(p.popen_pid) for p in procs]
                        time.sleep(0.02)
                    seen[0] -= self.hashing
                else:
                    kind = foreign.Transmission.told("utp", encrypted=False)
                    torrent = types.SimpleNamespace(path=how[3])
                    seed, client = kind(how[0]), kind(how[1])
                    seed.seed(torrent, how[2].parent)
                    before = cpu_seconds(seed.proc.popen_pid)  # without the hashing at its start
                    (lab.dir / "out").mkdir()
                    client.download(torrent, lab.dir / "out")
                    client.wait_done(600)
                    seen = [cpu_seconds(seed.proc.popen_pid) - before,
                            cpu_seconds(client.proc.popen_pid)]
                per[name] = size / MIB / sum(seen)
                self.note(f"a CPU second carries, {name}", per[name], "MiB")
        if len(per) == 2:
            self.note("CPU beside Transmission's", per["swarmfs"] / per["transmission"], "x", 3)


def main(words, prepare, build):
    args = arguments(words)
    prepare(netlab_missing, "test")  # the other clients
    from netlab import Netlab
    bench = Bench(args.binary.resolve() if args.binary else build(), args.quick)
    for name in args.cases:
        getattr(bench, name)(Netlab)
    return conclude(args, bench.figures)
