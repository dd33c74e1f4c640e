"""Reading through a mount in order, beside what iperf3 gets out of the same links."""
import json
import time

from .contestants import Job
from .figures import Figure
from .stage import MIB
from .start_cases import FILE, FOUR_SEEDS, SIZE

PATHS = [(rtt, loss) for rtt in (0.01, 0.05, 0.2) for loss in (0, 0.001)]
SHARE = 0.93
IPERF_PORT = 5201


def sequential(run):
    run.material.file(FILE, SIZE)
    for rtt, loss in PATHS:
        # Far away the first seconds, in which TCP looks for its speed, are many: the whole file.
        total = 64 * MIB if run.quick else SIZE if rtt > 0.1 else 192 * MIB
        label = f"sequential, RTT {1e3 * rtt:.0f} ms, loss {100 * loss:g} %"
        with run.stage((FILE, "v1", MIB), "libtorrent", FOUR_SEEDS, rtt=rtt, loss=loss) as stage:
            bound = iperf(stage, total)
            values = {"iperf3": bound}
            for name in run.contestants:
                outcome = run.measure(name, label, stage, [Job("sequential", {"total": total})],
                                      limit=60 + total / 2e6)
                if outcome:
                    got = outcome.results[0]
                    values[name] = got["bytes"] / (got["end"] - got["begin"]) / 1e6
        run.found.figures.append(Figure(label, "MB/s", values, SHARE * bound,
                                        f">= {SHARE} x iperf3 ({bound:.2f} MB/s)", at_least=True))


def iperf(stage, total):
    """Bytes (in millions) a second that one flow from every seed brings together, for as long as
    `total` would take at the client's rate."""
    seconds = max(5, round(total / 12e6))
    servers = [seed.start("iperf3", ["iperf3", "--server", "--port", IPERF_PORT])
               for seed in stage.seeds]
    for seed in stage.seeds:
        until = time.monotonic() + 10
        while not seed.listening(IPERF_PORT) and time.monotonic() < until:
            time.sleep(0.05)
    flows = [stage.client.start("iperf3", [
        "iperf3", "--client", seed.ip4, "--port", IPERF_PORT, "--reverse", "--json",
        "--time", seconds]) for seed in stage.seeds]
    rates = []
    for flow in flows:
        flow.wait(seconds + 30)
        rates.append(json.loads(flow.text())["end"]["sum_received"]["bits_per_second"])
    for server in servers:
        server.stop()
    return sum(rates) / 8e6
