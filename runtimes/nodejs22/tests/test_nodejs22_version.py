"""Node.js 22: differs from nodejs20, which its own tests prove, by the version; here it runs on that."""

import signal

import pytest

from botdock_runtime_nodejs22.plugin import NODEJS22, botdock_runtimes
from botdock_testing.runtime import bot

WAITS = """
exports.main = () => {
  process.on("SIGTERM", () => { console.log("stopped"); process.exit(3); });
  console.log("waiting");
  return new Promise(() => setInterval(() => {}, 1000));
};
"""
GIVEN = "[process.versions.node.split('.')[0], id, config]"


def test_the_plugin_registers_it() -> None:
    assert list(botdock_runtimes()) == [NODEJS22]
    assert (NODEJS22.names, NODEJS22.image) == (("nodejs22", "node22"), "node:22-alpine")


@pytest.mark.parametrize(
    ("script", "source"),
    [
        ("main.js", f"module.exports = (id, config) => {GIVEN};"),
        ("main.mjs", f"export const main = async (id, config) => {GIVEN};"),
    ],
)
def test_a_bot_runs_on_that_version_with_what_it_was_given(script: str, source: str) -> None:
    with bot(NODEJS22, source, script=script, id="it's 22", config={"a": [1, None, "é"]}) as made:
        ended = made.run()
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert ended.reading.value == ["22", "it's 22", {"a": [1, None, "é"]}]


def test_an_error_is_shown_by_node_without_our_frames() -> None:
    with bot(NODEJS22, "exports.main = () => { throw new RangeError('no market'); };") as made:
        ended = made.run()
    assert (ended.exit_code, ended.reading.error) == (1, "RangeError: no market")
    assert b"RangeError: no market" in ended.stderr
    assert b"wrapper.cjs" not in ended.stderr


def test_a_line_is_out_at_once_and_sigterm_reaches_the_bot() -> None:
    with bot(NODEJS22, WAITS) as waiting:
        waiting.prepare()
        with waiting.start() as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"waiting\n"
            process.send_signal(signal.SIGTERM)
            ended = waiting.finish(process)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, b"stopped\n", b"")
