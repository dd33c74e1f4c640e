"""From the values of every round to medians, the table, and the goals that are met or missed."""
import statistics

MB, GB, MIB = 1e6, 1e9, float(1 << 20)

# (key, what it is, unit, digits, how it follows from a round's values and the size)
ROWS = (
    ("first", "process start to first 4 KiB", "s", 3, lambda v, size: v["first_s"]),
    ("random_p50", "cold random 4 KiB read, p50", "ms", 2, lambda v, size: v["random_p50_ms"]),
    ("random_p99", "cold random 4 KiB read, p99 of 40", "ms", 2, lambda v, size: v["random_p99_ms"]),
    ("cold", "cold, start to end of the file", "MB/s", 0, lambda v, size: size / MB / v["cold_s"]),
    ("all", "process start to last byte", "s", 2, lambda v, size: v["all_s"]),
    ("warm", "warm, start to end of the file", "MB/s", 0, lambda v, size: size / MB / v["warm_s"]),
    ("cpu", "CPU per GB", "s", 2, lambda v, size: v["cpu_s"] * GB / size),
    ("memory", "peak anonymous memory", "MiB", 0, lambda v, size: v["peak_anonymous"] / MIB),
)
# (row, rival or None for an absolute bound, "at least" or "at most", bound)
GOALS = (
    ("cold", "libtorrent", ">=", 0.7), ("cold", "btfs", ">=", 3.0), ("first", None, "<=", 0.3),
    ("warm", "native", ">=", 0.8), ("cpu", "libtorrent", "<=", 1.5), ("memory", None, "<=", 128.0),
)


def medians(rounds, size):
    """{client: {row: median}} from {client: [values of a round]}; rows a client has not are absent."""
    result = {}
    for client, values in rounds.items():
        result[client] = {}
        for key, _, _, _, derive in ROWS:
            have = []
            for value in values:
                try:
                    have.append(derive(value, size))
                except KeyError:
                    pass
            if have:
                result[client][key] = statistics.median(have)
    return result


def ratio(table, key, client, rival):
    try:
        return table[client][key] / table[rival][key]
    except (KeyError, ZeroDivisionError):
        return None


def markdown(table, versions):
    """The table as text: absolute medians, then swarmfs (if measured) over each rival."""
    clients = list(table)
    rivals = [c for c in clients if c not in ("swarmfs", "native")] if "swarmfs" in table else []
    head = [""] + [f"{c} {versions.get(c, '')}".strip() for c in clients]
    head += [f"swarmfs / {r}" for r in rivals]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for key, label, unit, digits, _ in ROWS:
        cells = [f"{table[c][key]:.{digits}f}" if key in table[c] else "–" for c in clients]
        for rival in rivals:
            value = ratio(table, key, "swarmfs", rival)
            cells.append("–" if value is None else f"{value:.2f}×")
        lines.append([f"{label}, {unit}"] + cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def goals(table):
    """[(sentence, met)] for every goal that this run can judge."""
    judged = []
    for key, rival, sense, bound in GOALS:
        if "swarmfs" not in table or key not in table["swarmfs"]:
            continue
        label, unit, digits = next(row[1:4] for row in ROWS if row[0] == key)
        value = ratio(table, key, "swarmfs", rival) if rival else table["swarmfs"][key]
        if value is None:
            continue
        met = value >= bound if sense == ">=" else value <= bound
        shown = f"{value:.2f} x {rival}" if rival else f"{value:.{digits}f} {unit}"
        wanted = f"{sense} {bound:g}" + (" x" if rival else f" {unit}")
        judged.append((f"{label}: {shown} (goal {wanted})", met))
    return judged
