"""`botdock explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from botdock_cli.commands import verb
from botdock_cli.options import json_option, takes_run_options
from botdock_cli.output import aligned, format_seconds, print_json, print_text
from botdock_cli.report import say
from botdock_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botdock.config import Ceiling
    from botdock.factory import Bound, Explanation
    from botdock_cli.request import RunRequest

HELP = """Takes CODE and the options of `run`, and says what that run would be: engine, runtime, script, image, and each
bound with who set it, and the most that may be asked for. No container is started, no image is pulled, and nothing is
left behind; CODE is fetched and unpacked, for its manifest counts.

\b
Who sets a value:
  caller         an option of this call
  manifest       the code's own bot.toml; it can only tighten
  configuration  --set, the environment or a botdock.toml, which is named
  default        botdock's own
  policy         it would be more, and the policy that is named bounds it
  code           found in the code

\b
Examples:
  botdock explain examples/hello-python
  botdock explain bot.zip --memory 4GiB --network market-data
  botdock explain bot.zip --image team/pandas:2 --json | jq .refusals

\b
Exit codes:
  0    nothing is known that would refuse it; what could not be asked is told
  2    the policy, the code or the options refuse it, with every reason
  125  the engine cannot enforce what the policy asks for"""


@verb("explain", HELP)
@takes_run_options
@click.option("--long-running", is_flag=True, help="As `botdock start --long-running` would run it.")
@json_option
def command(session: Session, *, request: RunRequest, long_running: bool, as_json: bool) -> int:
    """Say what a run would be."""
    import attrs

    from botdock.factory import explain
    from botdock_cli.commands.config import origin_of

    executable, overrides = attrs.evolve(request.executable(), is_long_running=long_running), request.overrides()
    config = session.load_config(overrides, code=request.code)
    session.show_log()
    found = explain(config, session.plugins, executable)
    origin = origin_of(session, overrides)
    if as_json:
        printed = print_json(_document(found, origin))
    else:
        printed = print_text(_lines(found, origin))
        for error in found.refusals:
            say(f"refused: {error.message}" + (f"\n{error.hint}" if error.hint else ""))
    return min((error.exit_code for error in found.refusals), default=0) or printed


def _document(found: Explanation, origin: Callable[[tuple[str, ...]], str]) -> dict[str, Any]:
    document = found.document()
    for name, told in document["values"].items():
        if told["source"] == "configuration":
            told["set_by"] = _set_by(found, name, origin)
    return document


def _lines(found: Explanation, origin: Callable[[tuple[str, ...]], str]) -> Iterator[str]:
    rows = [(name, _shown(name, bound.value), _why(found, name, bound, origin)) for name, bound in found.values.items()]
    rows += [(f"{kind} {name}", "", "caller") for name, kind in sorted(found.variables.items())]
    yield from aligned(rows)
    if found.template is not None:
        yield f"command: {' '.join(found.template.command)}, in {found.template.code_target}"
        yield f"starts cold: {found.cold}" if found.cold else "starts warm: a container of its template waits"
    if found.capabilities is not None:
        enforced = ", ".join(sorted(found.capabilities.enforced)) or "nothing"
        yield f"the engine enforces: {enforced}"
    for path in found.policies:
        yield f"bounded by {path}"
    for line in found.unknown:
        yield f"not known: {line}"


def _why(found: Explanation, name: str, bound: Bound, origin: Callable[[tuple[str, ...]], str]) -> str:
    ceiling = found.ceilings.get(name)
    if bound.source == "policy" and ceiling is not None:
        why = f"policy: {_place(ceiling)}"
    elif bound.source == "configuration" and (place := _set_by(found, name, origin)):
        why = f"configuration: {found.settings[name]}, {place}"
    else:
        why = bound.source.value
    if bound.asked is not None:
        why += f"; the manifest asks for {_shown(name, bound.asked)}"
    if ceiling is not None and bound.source != "policy":
        why += f"; at most {_shown(name, ceiling.value)}: {_place(ceiling)}"
    return why


def _place(ceiling: Ceiling) -> str:
    return f"{ceiling.setting}{f' in {ceiling.file}' if ceiling.file else ''}"


def _set_by(found: Explanation, name: str, origin: Callable[[tuple[str, ...]], str]) -> str:
    return origin(tuple(found.settings.get(name, name).split(".")))


def _shown(name: str, value: object) -> str:
    from botdock.model.limits import SIZES
    from botdock.model.units import format_bytes

    if value is None:
        return "none answers" if name == "engine" else "no bound"
    if name in SIZES and isinstance(value, int):
        return format_bytes(value)
    if name.endswith("timeout") and isinstance(value, int | float):
        return format_seconds(value)
    return str(value)
