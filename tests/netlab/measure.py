"""Measures a Netlab from inside: what ping and iperf3 see between two hosts.

Rates are bits a second, times seconds. A TCP goodput is smaller than the link's rate by the
headers: see GOODPUT.
"""

import json
import pathlib
import re

from netlab import rig

# Of a full frame of 1514 bytes, TCP with timestamps over IPv4 carries 1448.
GOODPUT = 1448 / 1514
IPERF_PORT = 5201


def ping(host, other, count=20, interval=0.02, extra=()):
    """The round trips to the other host, one for each answer. The addresses are resolved before."""
    address = other.ip6 if "-6" in extra else other.ip4
    host.run(["ping", "-c", 1, "-W", 5, *extra, address])
    done = host.run(["ping", "-c", count, "-i", interval, "-W", 2, *extra, address])
    return [float(ms) / 1000 for ms in re.findall(r"time=([\d.]+) ms", done.stdout)]


def start_iperf_server(host):
    server = host.start("iperf3", ["iperf3", "--server", "--port", IPERF_PORT, "--forceflush"])
    rig.wait_for("iperf3", lambda: host.listening(IPERF_PORT), 10, [server])
    return server


def start_iperf(host, server, seconds, extra=()):
    """A flow to the server's host that is running: a Proc, for result()."""
    return host.start("flow", ["iperf3", "--client", server.ip4, "--port", IPERF_PORT, "--json",
                               "--time", seconds, *extra])


def result(flow, timeout):
    """What the flow has measured, once it has ended: iperf3's JSON."""
    flow.wait(timeout)
    found = json.loads(flow.text())
    if "error" in found:
        raise AssertionError(f"{flow.name}: {found['error']}")
    return found


def tcp_rate(host, server, seconds=3, extra=("--congestion", "cubic")):
    """Goodput of one TCP flow to the server's host, without its first second. `--reverse` in
    `extra` measures the other direction. CUBIC fills a link to the brim, so it is the default."""
    flow = start_iperf(host, server, seconds, ["--omit", 1, *extra])
    return result(flow, seconds + 15)["end"]["sum_received"]["bits_per_second"]


def udp_loss(host, server, packets, packet_bytes=200, rate="64mbit"):
    """(share lost, packets sent) of a flow of UDP packets."""
    bits = rate.replace("mbit", "M")
    flow = host.start("flow", [
        "iperf3", "--client", server.ip4, "--port", IPERF_PORT, "--json", "--udp", "--window", "4M",
        "--bandwidth", bits, "--length", packet_bytes, "--blockcount", packets])
    end = result(flow, 60)["end"]["sum"]
    return end["lost_packets"] / end["packets"], end["packets"]


def switch_cpu(lab):
    """CPU seconds that the switch has used."""
    text = pathlib.Path(f"/proc/{lab.switch.popen.pid}/schedstat").read_text()
    return int(text.split()[0]) / 1e9
