"""The front door of the command `botdock`, and the one place where errors end.

Nothing but `sys` is imported at the top, so that an interrupt that comes while the rest is imported is handled.
"""

import sys


def main(args: list[str]) -> int:
    """Run one command line, and return what the process exits with. Raises nothing but what ends a process."""
    from botdock_cli.report import report
    from botdock_cli.session import Session

    session = Session()
    try:
        from botdock_cli.app import invoke

        code = invoke(args or ["--help"], session)
    except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - the last place that can turn an error into a line
        return report(error, debug=session.debug, as_json=_wants_json(args), args=args)
    return code if isinstance(code, int) else 0


def _wants_json(args: list[str]) -> bool:
    """Whether `--json` is given, be it that the rest of the line is wrong."""
    options = args[: args.index("--")] if "--" in args else args
    return any(option.partition("=")[0] == "--json" for option in options)


def run() -> None:
    """Run the command line of this process, and end it."""
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # it came before there was anything to say it with
        code = 130
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python shows a traceback for one that comes while it ends
    sys.exit(code)
