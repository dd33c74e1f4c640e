"""What a streaming run found: figures of every client, the goals they are held to, and tables."""
import dataclasses
import statistics

QUANTILES = (("p50", 0.50), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
SUBJECT = "swarmfs"


def quantile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


@dataclasses.dataclass
class Figure:
    """One line of the table. `values` is {client: number}; seconds are shown as ms and in RTTs."""

    label: str
    unit: str  # "s" for a time, else a word that is shown as it is
    values: dict
    limit: float = None  # what the subject may have at most (or at least)
    goal: str = ""
    at_least: bool = False
    rtt: float = None

    def met(self):
        """None where there is no goal, or no figure."""
        if self.limit is None or SUBJECT not in self.values:
            return None
        value = self.values[SUBJECT]
        return value >= self.limit if self.at_least else value <= self.limit

    def verdict(self):
        return {None: "", True: "met", False: "**missed**"}[self.met()]

    def cell(self, client):
        value = self.values.get(client)
        if value is None:
            return "–"
        if self.unit != "s":
            return f"{value:.3g} {self.unit}".strip()
        return f"{1e3 * value:.0f} ms" + (f", {value / self.rtt:.1f} RTT" if self.rtt else "")

    def ratio(self, rival):
        ours, theirs = self.values.get(SUBJECT), self.values.get(rival)
        return f"{ours / theirs:.2f}×" if ours is not None and theirs else "–"


class Findings:
    """Everything a run found, as it comes."""

    def __init__(self):
        self.figures, self.samples, self.steps, self.failures, self.loads = [], {}, {}, [], {}
        self.players = {}  # {label: {client: [what each player saw]}}
        self.wasted = self.downloaded = 0
        self.cut_off = None  # the case in which the run was ended before its end

    def distribution(self, label, values, rtt, goals=(), shown=("p50",)):
        """`values` is {client: [seconds]}; `goals` is {quantile's name: (limit, text)}."""
        self.samples[label] = values
        for name, fraction in QUANTILES:
            if name in goals or name in shown:
                limit, text = dict(goals).get(name, (None, ""))
                at = {c: quantile(v, fraction) for c, v in values.items() if v}
                self.figures.append(Figure(f"{label}, {name}", "s", at, limit, text, rtt=rtt))

    def note_status(self, status):
        """Adds swarmfs's own account of a mount that ends."""
        for torrent in status.get("torrents", []):
            self.wasted += torrent["wasted"]
            self.downloaded += torrent["downloaded"]

    def judge_waste(self):
        if self.downloaded:
            self.figures.append(Figure(
                "duplicate and discarded bytes, whole run", "%",
                {SUBJECT: 100 * self.wasted / self.downloaded}, 2, "<= 2 %"))

    def table(self, versions):
        clients = list(versions)
        rivals = [c for c in clients if c != SUBJECT]
        lines = [["case", *(f"{c} {v}".strip() for c, v in versions.items()),
                  *(f"{SUBJECT} / {r}" for r in rivals), "goal", ""]]
        lines.append(["---"] + ["---:"] * (len(lines[0]) - 2) + ["---"])
        for figure in self.figures:
            lines.append([figure.label, *map(figure.cell, clients), *map(figure.ratio, rivals),
                          figure.goal, figure.verdict()])
        return markdown(lines)

    def distributions(self):
        """The whole distribution of every case and client, in ms."""
        lines = [["case", "client", "n", *(name for name, _ in QUANTILES)],
                 ["---", "---"] + ["---:"] * (1 + len(QUANTILES))]
        for label, clients in self.samples.items():
            for client, values in clients.items():
                if values:
                    lines.append([label, client, str(len(values)),
                                  *(f"{1e3 * quantile(values, f):.0f}" for _, f in QUANTILES)])
        return markdown(lines)

    def step_table(self, label):
        """Medians of steps: {client: [{step: seconds}]}, in RTTs of self.steps[label][0]."""
        rtt, clients = self.steps[label]
        names = list(dict.fromkeys(step for runs in clients.values() for run in runs
                                   for step in run))
        lines = [[label, *clients], ["---"] + ["---:"] * len(clients)]
        for name in names:
            cells = []
            for runs in clients.values():
                have = [run[name] for run in runs if run.get(name) is not None]
                middle = statistics.median(have) if have else None
                cells.append("–" if middle is None
                             else f"{1e3 * middle:.0f} ms, {middle / rtt:.2f} RTT")
            lines.append([name, *cells])
        return markdown(lines)

    def as_json(self):
        return {"figures": as_json(self.figures),
                "samples": self.samples, "steps": self.steps, "players": self.players,
                "failures": self.failures, "cut_off": self.cut_off,
                "loads": self.loads, "wasted": self.wasted, "downloaded": self.downloaded}


def as_json(figures):
    return [{**dataclasses.asdict(f), "met": f.met()} for f in figures]


def markdown(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
