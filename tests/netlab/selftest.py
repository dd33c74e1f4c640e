#!/usr/bin/python3
"""Measures how exactly a Netlab keeps to what it is asked for, and prints a markdown table.

Usage: selftest.py [--throughput]. With --throughput, only how much an unshaped network carries and
what that costs; exits with 1 below 900 Mbit/s. Needs root, iperf3 and ping, and about a minute.
"""

import os
import platform
import statistics
import sys
import time

import measure
import netlab

LEAST_BPS = 900e6


def row(what, asked, measured, off=""):
    print(f"| {what} | {asked} | {measured} | {off} |", flush=True)


def off_by(asked, measured):
    return f"{(measured / asked - 1) * 100:+.1f} %"


def delays():
    for one_way_ms in (0.5, 5, 25, 100):
        with netlab.Netlab() as lab:
            a, b = lab.host("a", delay=f"{one_way_ms}ms"), lab.host("b")
            rtts = measure.ping(a, b, count=25)
            asked = 2 * one_way_ms / 1000
            row("round trip, median of 25 pings", f"{asked * 1e3:g} ms",
                f"{statistics.median(rtts) * 1e3:.2f} ms", off_by(asked, statistics.median(rtts)))
    with netlab.Netlab() as lab:
        a, b = lab.host("a", delay="5ms", jitter="10ms"), lab.host("b")
        rtts = measure.ping(a, b, count=200, interval=0.01)
        row("round trip with jitter, least and most of 200", "10 to 30 ms",
            f"{min(rtts) * 1e3:.2f} to {max(rtts) * 1e3:.2f} ms")


def rates():
    for mbit in (1, 10, 100, 300, 1000):
        for control in ("cubic", "bbr"):
            with netlab.Netlab() as lab:
                a, b = lab.host("a", up=f"{mbit}mbit", delay="2ms"), lab.host("b")
                measure.start_iperf_server(b)
                before, begin = measure.switch_cpu(lab), time.monotonic()
                rate = measure.tcp_rate(a, b, 3, ["--congestion", control])
                cpu = (measure.switch_cpu(lab) - before) / (time.monotonic() - begin)
                asked = mbit * 1e6 * measure.GOODPUT
                row(f"goodput of a TCP flow ({control}) at {mbit} Mbit/s",
                    f"{asked / 1e6:.2f} Mbit/s",
                    f"{rate / 1e6:.2f} Mbit/s, the switch took {cpu * 100:.0f} % of a core",
                    off_by(asked, rate))


def losses():
    for share in (0.01, 0.1):
        with netlab.Netlab() as lab:
            a, b = lab.host("a", loss=share), lab.host("b")
            measure.start_iperf_server(b)
            lost, packets = measure.udp_loss(a, b, 200_000)
            row(f"loss of {packets} UDP packets", f"{share * 100:g} %", f"{lost * 100:.3f} %",
                off_by(share, lost))


def queues():
    for control in ("cubic", "bbr"):
        with netlab.Netlab() as lab:
            a, b = lab.host("a", delay="10ms"), lab.host("b", down="10mbit", queue="100ms")
            measure.start_iperf_server(b)
            flow = measure.start_iperf(a, b, 5, ["--congestion", control])
            time.sleep(2)
            rtts = measure.ping(a, b, count=100)
            measure.result(flow, 20)
            row(f"round trip beside a {control} flow, mean and most of 100", "20 to 121 ms",
                f"{statistics.mean(rtts) * 1e3:.1f}, {max(rtts) * 1e3:.1f} ms")


def idle():
    with netlab.Netlab() as lab:
        lab.host("a", profile="wan")
        lab.host("b", profile="wan")
        time.sleep(0.5)
        before = measure.switch_cpu(lab)
        time.sleep(3)
        row("CPU of the switch when nothing is sent", "0 %",
            f"{(measure.switch_cpu(lab) - before) / 3 * 100:.2f} % of a core")


def throughput():
    """The lowest of the flows, in bits a second."""
    lowest = float("inf")
    for control in ("bbr", "cubic"):
        for extra, direction in (([], "there"), (["--reverse"], "back")):
            with netlab.Netlab() as lab:
                a, b = lab.host("a"), lab.host("b")
                measure.start_iperf_server(b)
                before, begin = measure.switch_cpu(lab), time.monotonic()
                rate = measure.tcp_rate(a, b, 3, ["--congestion", control, *extra])
                cpu = (measure.switch_cpu(lab) - before) / (time.monotonic() - begin)
                row(f"unshaped TCP flow ({control}), {direction}", "at least 900 Mbit/s",
                    f"{rate / 1e6:.0f} Mbit/s, the switch took {cpu * 100:.0f} % of a core")
                lowest = min(lowest, rate)
    return lowest


def main():
    if sys.argv[1:] not in ([], ["--throughput"]):
        sys.exit(__doc__)
    why = netlab.missing()
    if why:
        sys.exit(f"selftest: {why}")
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, "
          f"load {os.getloadavg()[0]:.1f} before\n\n| what | asked | measured | off by |\n|---|--:|--:|--:|")
    if sys.argv[1:] == []:
        for part in (delays, rates, losses, queues, idle):
            part()
    return 0 if throughput() >= LEAST_BPS else 1


if __name__ == "__main__":
    sys.exit(main())
