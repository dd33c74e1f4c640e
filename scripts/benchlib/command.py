"""What the benchmarks have in common as commands: options, what they need, and how they end."""
import json
import os
import pathlib
import platform

from .figures import SUBJECT, as_json, markdown


def chosen(parser, text, known):
    """The names in the text of --cases, or all without it. Ends the program with an unknown one."""
    names = text.split(",") if text else list(known)
    for name in names:
        if name not in known:
            parser.error(f"there is no case {name!r}; there are {', '.join(known)}")
    return names


def add_options(parser):
    parser.add_argument("--binary", type=pathlib.Path, help="the swarmfs to measure, not a new one")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")


def netlab_missing():
    import netlab
    return netlab.missing()


def conclude(args, figures, about="", samples=None):
    """Shows figures of swarmfs alone, and keeps them, in an object with `samples` if there are any.
    Returns the exit status."""
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}{about}\n")
    print(markdown([["case", "figure", "goal", ""], ["---", "---:", "---", "---"],
                    *([f.label, f.cell(SUBJECT), f.goal, f.verdict()] for f in figures)]))
    if args.json:
        kept = {**samples, "figures": as_json(figures)} if samples else as_json(figures)
        args.json.write_text(json.dumps(kept, indent=1) + "\n")
    return 1 if args.check and any(f.met() is False for f in figures) else 0
