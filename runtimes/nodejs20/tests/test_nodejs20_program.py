"""A script that is a program of its own: it runs as `node main.js` would run it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from botdock_runtime_nodejs20.runtime import NODEJS20
from botdock_testing.runtime import bot

pytestmark = pytest.mark.node

PROGRAMS = {
    "main": ("main.js", "console.log(require.main === module, process.argv[1] === __filename, module.id)"),
    "guard": (
        "main.js",
        "module.exports = { run };\nfunction run() { console.log('run') }\nif (require.main === module) run();",
    ),
    "module": ("main.mjs", "console.log(await Promise.resolve(import.meta.url.endsWith('main.mjs')))"),
    "url": (
        "main.mjs",
        (
            "import * as u from 'node:url';\nexport const rate = 1;\n"
            "if (import.meta.url === u.pathToFileURL(process.argv[1]).href) console.log('main');"
        ),
    ),
    "data": ("main.js", "exports.rate = 2; console.log(exports.rate)"),
    "class": ("main.js", "class A { constructor() { this.a = 1 } }\nconsole.log(new A().a)"),
    "comment": ("main.js", "// exports.main = old\n/* export default\n */ console.log('no exports')"),
    "timer": ("main.js", "setTimeout(() => console.log('later'), 50); process.on('exit', (code) => console.log(code))"),
    "called": (
        "main.js",
        "async function main() { console.log('once') }\nmain().catch(console.error);\nmodule.exports = { main };",
    ),
    "helpers": ("main.js", "const sma = (a) => a.length;\nmodule.exports = { sma };\nconsole.log(sma([1, 2]));"),
    "exported class": (
        "main.js",
        "class Bot { run() { console.log('run') } }\nnew Bot().run();\nmodule.exports = Bot;",
    ),
    "exported app": (
        "main.js",
        "const app = Object.assign(() => 1, { go() { console.log('up') } });\napp.go();\nmodule.exports = app;",
    ),
    "code": ("main.js", "process.exitCode = 5"),
    "exit": ("main.js", "for (let n = 0; n < 5000; n += 1) console.log(n);\nprocess.exit(3)"),
    "error": ("main.js", "function trade() { throw new RangeError('no') }\nconsole.log('up');\ntrade()"),
    "rejected": ("main.mjs", "console.log('up'); Promise.reject(new Error('later'))"),
    "pending": ("main.mjs", "console.log('up'); await new Promise(() => {})"),
    "forever": ("main.js", "new Promise(() => {}).then(() => console.log('never'))"),
    "child": (
        "main.js",
        (
            "const c = require('node:child_process');\nif (process.send) process.send(process.argv.length)\n"
            "else c.fork(__filename).on('message', (said) => console.log(said))"
        ),
    ),
}


@pytest.mark.parametrize(("script", "source"), PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_does_what_node_makes_it_do(tmp_path: Path, script: str, source: str) -> None:
    (tmp_path / script).write_text(source)
    plain = subprocess.run(["node", script], cwd=tmp_path, capture_output=True, check=False, timeout=60)
    with bot(NODEJS20, tmp_path, script=script) as made:
        ended = made.run()
    assert (ended.exit_code, ended.stdout) == (plain.returncode, plain.stdout)
    assert without_internals(ended.stderr) == without_internals(plain.stderr)
    assert not ended.reading.present


def without_internals(said: bytes) -> list[bytes]:
    return [line for line in said.splitlines() if b"node:internal" not in line]


def test_what_ends_a_program_is_in_its_result() -> None:
    with bot(NODEJS20, "throw new RangeError('no price')") as made:
        reading = made.run().reading
    assert (reading.exit_code, reading.error) == (1, "RangeError: no price")


@pytest.mark.parametrize(
    "source",
    [
        "function main() { return 1 }\nmodule.exports = { main };\nif (require.main === module) main();",
        "function main() { return 1 }\nif (require.main === module) main();\nexports.main = main;",
        "module.exports = { run() { return { a: 2 } }, main: () => 1 };\nif (require.main === module) run();",
        "const main = () => 1;\nif (!module.parent) main();\nmodule.exports = main;",
    ],
)
def test_what_exports_a_main_stays_a_bot(source: str) -> None:
    with bot(NODEJS20, source) as made:
        assert made.run().reading.value == 1


@pytest.mark.parametrize(
    ("source", "is_program"),
    [
        ("export async function main() {}\nawait main();", True),
        ("export default async function run(id) {}\nawait run('a');", True),
        ("const main = async () => {};\nconst code = await main();\nexport { main };", True),
        ("export const sma = (a) => a;\nfor (const a of [1]) { sma(a); }", True),
        ("const rows = load();\nfunction load() {}\nmodule.exports = { load };", True),
        ("const rows = require('./rows');\nfunction load() {}\nmodule.exports = { load };", False),
        ("export default class Bot {}\nconst bot = new Bot(); bot.run();", True),
        ("export default async function run(id) {}\nconsole.log('loaded');", False),
        ("export default class Bot { static async main() {} }\nconsole.log('loaded');", False),
        ("exports.main = (id) => {\n  main2(id);\n};\n// main()\nconst text = 'main()', pattern = /[{]/;", False),
        ("if (require.main === module)\n  main();\nmodule.exports = { main };\nasync function main() {}", False),
        ("module.exports = new Bot();", False),
        ("const bot = create({ a: 1 });\nmodule.exports = bot;", False),
        ("require('dotenv').config();\nmodule.exports = { run };", False),
        ("exports.main = main;\nconst said = `main();`;", False),
    ],
)
def test_a_script_is_a_bot_or_a_program(source: str, *, is_program: bool) -> None:
    read = Path(__file__).parents[1] / "src/botdock_runtime_nodejs20/files/botdock-script.cjs"
    asked = f"console.log(require({json.dumps(str(read))}).isProgram({json.dumps(source)}))"
    said = subprocess.run(["node", "-e", asked], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said == f"{str(is_program).lower()}\n"


def test_what_exports_a_class_is_told_what_to_export() -> None:
    with bot(NODEJS20, "module.exports = class Bot { run() {} }") as made:
        ended = made.run()
    assert (ended.exit_code, b"exports a class; it needs to export an instance" in ended.stderr) == (1, True)


def test_what_exports_another_function_alone_is_told_so() -> None:
    with bot(NODEJS20, "exports.mian = () => 1") as made:
        ended = made.run()
    assert (ended.exit_code, b"exports no function: neither main" in ended.stderr) == (1, True)
