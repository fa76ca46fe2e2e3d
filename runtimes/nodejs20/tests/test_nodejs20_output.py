"""What a Node.js bot prints is kept, to the last byte, whatever ends it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from botdock_runtime_nodejs20.runtime import NODEJS20
from botdock_testing.runtime import Ended, bot

LINES = 5_000
"""Some four times what a pipe holds."""
EXPECTED = b"".join(b"line %d " % number + b"x" * (number % 90) + b"\n" for number in range(LINES))
PRINT = f"""
const fs = require('node:fs');
const {{ Worker }} = require('node:worker_threads');
const text = (i) => `line ${{i}} ` + 'x'.repeat(i % 90);
function print(put = (name, line) => console[name](line)) {{
  for (let i = 0; i < {LINES}; i += 1) for (const name of ['log', 'error']) put(name, text(i));
}}
const worker = (after, workerData) => new Worker(`
  const {{ parentPort, workerData }} = require('node:worker_threads');
  const text = ${{text}};
  (${{print}})();
  ${{after}};
`, {{ eval: true, workerData }});
const ended = (child) => new Promise((resolve) => child.on('exit', resolve));
const streams = {{ log: process.stdout, error: process.stderr }};
"""
FOREVER = "await new Promise(() => setInterval(() => {}, 1000))"
ASK = "parentPort.postMessage(1); setInterval(() => {}, 1000)"
BELOW = "(name, line) => name === 'log' && line.length % 2 ? fs.writeSync(1, line + '\\n') : console[name](line)"
BUSY = """
const flag = new Int32Array(new SharedArrayBuffer(4));
worker('Atomics.store(workerData, 0, 1); Atomics.notify(workerData, 0)', flag);
Atomics.wait(flag, 0, 0);
"""
CHILD = """
const { fork } = require('node:child_process');
fs.writeFileSync(process.env.HOME + '/child.cjs', `
  const text = ${text};
  process.once('message', () => { (${print})(); process.exit(0); });
  process.send([process.stdout, process.stderr].length);
`);
const child = fork(process.env.HOME + '/child.cjs');
await new Promise((resolve) => child.on('message', resolve));
"""

ENDS = {
    "return": ("print(); return 1;", 0),
    "throw": ("print(); throw new Error('end');", 1),
    "throw outside of main": (f"setImmediate(() => {{ print(); throw new Error('end'); }}); {FOREVER};", 1),
    "unhandled rejection": (f"print(); Promise.reject(); {FOREVER};", 1),
    "process.exit": ("print(); process.exit(3);", 3),
    "exit handler": ("process.on('exit', () => print()); process.exit(3);", 3),
    "never settles": ("print(); await new Promise(() => {});", 13),
    "reallyExit": ("print(); process.reallyExit(3);", 3),
    "SIGKILL": ("print(); process.kill(process.pid, 'SIGKILL');", -signal.SIGKILL),
    "SIGTERM": (f"print(); process.kill(process.pid, 'SIGTERM'); {FOREVER};", 143),
    "own handler of SIGTERM": (
        f"process.on('SIGTERM', () => {{ print(); process.exit(3); }}); process.kill(process.pid, 15); {FOREVER};",
        3,
    ),
    "corked": ("for (const each of Object.values(streams)) each.cork(); print(); process.exit(3);", 3),
    "written by itself": (
        "print((name, line) => streams[name].write(Buffer.from(line + '\\n'), () => {})); process.exit(3);",
        3,
    ),
    "written below Node": (f"print({BELOW}); process.exit(3);", 3),
    "worker returns": ("await ended(worker('')); process.exit(3);", 3),
    "worker throws": (f"worker('throw new Error(`end`)').on('error', (error) => {{ throw error; }}); {FOREVER};", 1),
    "worker exits": ("await ended(worker('process.exit(0)')); process.exit(3);", 3),
    "exit while a worker lives": (f"worker('{ASK}').on('message', () => process.exit(3)); {FOREVER}", 3),
    "worker of a main thread that waits": (f"{BUSY} process.exit(3);", 3),
    "worker is terminated": (
        f"const it = worker('{ASK}'); await new Promise((r) => it.on('message', r)); await it.terminate();",
        0,
    ),
    "child": (f"{CHILD} child.send(1); await ended(child); process.exit(3);", 3),
    "beside a child with the same pipes": (f"{CHILD} child.unref(); child.disconnect(); print(); process.exit(3);", 3),
}


def run(source: str, **more: Any) -> Ended:
    with bot(NODEJS20, source, **more) as made:
        return made.run()


@pytest.mark.parametrize(("body", "exit_code"), ENDS.values(), ids=ENDS)
def test_every_line_before_an_end_is_kept(body: str, exit_code: int) -> None:
    ended = run(f"{PRINT}exports.main = async () => {{ {body} }};")
    assert ended.exit_code == exit_code
    assert ended.stdout == EXPECTED
    assert ended.stderr.startswith(EXPECTED)


def test_what_a_worker_prints_for_its_parent_goes_there() -> None:
    ended = run(
        """
        import { Worker } from "node:worker_threads";
        class Quiet extends Worker {}
        export async function main() {
          const options = { eval: true, stdout: true, execArgv: ["--no-warnings"] };
          const quiet = new Quiet("console.log(process.execArgv[0]); console.error('loud');", options);
          const pieces = [];
          for await (const piece of quiet.stdout) pieces.push(piece);
          return [quiet instanceof Quiet, quiet instanceof Worker, Buffer.concat(pieces).toString()];
        }
        """,
        script="main.mjs",
    )
    assert (ended.reading.value, ended.stdout, ended.stderr) == ([True, True, "--no-warnings\n"], b"", b"loud\n")
