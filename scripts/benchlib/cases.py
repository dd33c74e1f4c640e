"""--cases, of the benchmarks that have several."""


def chosen(parser, text, known):
    """The names in the option's text, or all without it. Ends the program with an unknown one."""
    names = text.split(",") if text else list(known)
    for name in names:
        if name not in known:
            parser.error(f"there is no case {name!r}; there are {', '.join(known)}")
    return names
