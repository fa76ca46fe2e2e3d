"""What is wrong with a Python script, said before it runs."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdock_runtime_python311 import check
from botdock_runtime_python311.script import Script


def problems(tree: Path, source: str | bytes, *, version: tuple[int, int] = (3, 11)) -> list[str]:
    (tree / "main.py").write_bytes(source.encode() if isinstance(source, str) else source)
    return list(check.problems(tree, "main.py", version=version))


@pytest.mark.parametrize(
    "source",
    [
        "def main(id, config): ...",
        "async def main(id, config): ...",
        "def main(*args): ...",
        "def main(id, config):\n    def ticks():\n        yield 1\n    return list(ticks())",
        "def main(id, config):\n    return sum((yield_ for yield_ in ()))",
        "def main(id, config, extra=1): ...",
        "def main(id, config, *, extra=1): ...",
        "@traced\ndef main(): ...",
        "main = print",
        "main: object = print",
        "main, other = print, print",
        "(main := print)",
        "class main:\n    def __init__(self, id, config): ...",
        "from strategy import main",
        "from strategy import run as main",
        "from strategy import *",
        "import main",
        "try:\n    from fast import main\nexcept ImportError:\n    from slow import main",
        "if True:\n    def main(id, config): ...",
        "def __getattr__(name): ...",
        b"# coding: latin-1\nname = '\xe9'\ndef main(id, config): ...",
        b"# coding: punycode\ndef broken(",
        "\ufeffdef main(id, config): ...",
        "def main(): ...\nmain = traced(main)",
        "globals()['main'] = print",
        "def set_up():\n    global main\n    main = print\nset_up()",
        "import sys\nsys.modules[__name__] = Bot()",
        "if a: ...\n" + "elif a: ...\n" * 500 + "def main(id, config): ...",
        "total = " + "1 + " * 1200 + "1\ndef main(id, config): ...",
        "x = " + "-" * 5000 + "1",
        "print('a program')",
        "import app",
        "from app import *\nrun()",
        "def main(): ...\nmain()",
        "def main(argv=None): ...\nif __name__ == '__main__':\n    raise SystemExit(main())",
        "async def main(): ...\nif __name__ == '__main__':\n    asyncio.run(main())",
        "def run(id, config): ...\nrun('a', {})",
        "def run(): ...\nresult = run()",
        "rows = load()",
        "def main(): ...\ndef run(): main()\nrun()",
        "a;b\n" * 8192 + ")",
        "a\n" * 4097 + ")",
    ],
)
def test_a_script_with_a_main_is_fine(tmp_path: Path, source: str | bytes) -> None:
    assert problems(tmp_path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "def main(id, config): ...",
        "async def main(first, /, second=None): ...",
        "from x import *\nimport sys\nrun(sys.argv)\ndef main(argv, key): yield globals()",
        "if __name__ == '__ma' + 'in__':\n    run()\ndef __getattr__(name): ...\ndef main(id, config): ...",
    ],
)
def test_the_usual_bot_is_what_reading_all_of_it_would_show(source: str) -> None:
    module = ast.parse(source)
    read = Script(source, module)
    assert (read.form, read.misfits, read.main) == ("bot", [], check._usual_main(source, module))
    assert check._usual_main(f"{source}\nmain", module) is None


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "main.py defines no main and does nothing by itself; it needs a function main(id, config)"),
        ("x = 1\ntry:\n    import fast\nexcept ImportError:\n    fast = None", "does nothing by itself"),
        ("import logging\nlogging.basicConfig()\ndef run(id, config): ...", "(did you mean run?)"),
        ("print(1)\ndef mian(id, settings): ...", "(did you mean mian?)"),
        ("def mian(id, config): ...", "defines no main (did you mean mian?)"),
        ("def run():\n    def main(id, config): ...", "defines no main"),
        ("class Bot:\n    def main(self): ...", "defines no main"),
        ("run = lambda main: (main := 1)", "defines no main"),
        ("from os import path", "defines no main"),
        ("def main(id, config):\n    for n in (): yield n", "main has a `yield`"),
        ("async def main(id, config):\n    x = yield", "main has a `yield`"),
        ("def main(): ...", "line 1: main takes 0 arguments"),
        ("def main(): ...\nprint(1)", "line 1: main takes 0 arguments"),
        ("def main(one): ...", "line 1: main takes 1 arguments"),
        ("def main(a, b, c): ...", "line 1: main takes 3 arguments"),
        ("def main(id, config, *, broker): ...", "main needs broker by name"),
    ],
)
def test_a_script_without_a_usable_main_is_told_so(tmp_path: Path, source: str, problem: str) -> None:
    (found,) = problems(tmp_path, source)
    assert problem in found


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def main(:\n", "main.py, line 1: invalid syntax"),
        ("def main(id, config): ...\nx = (\n", "main.py, line 2: '(' was never closed"),
        (b"\x00", "main.py is not Python source: "),
        (b"x = '\xff'\n", "main.py"),
    ],
)
def test_a_syntax_error_is_named_by_the_same_python_only(tmp_path: Path, source: str | bytes, problem: str) -> None:
    (found,) = problems(tmp_path, source, version=sys.version_info[:2])
    assert found.startswith(problem)
    assert problems(tmp_path, source, version=(3, 99)) == [], "another Python may well know this syntax"


@pytest.mark.parametrize(
    "line", ["type Side = int", "def first[T](of: T): ...", "class Queue[T]: ...", "f'{side['buy']}'"]
)
def test_syntax_of_a_newer_python_names_the_runtime_that_knows_it(tmp_path: Path, line: str) -> None:
    said = problems(tmp_path, f"{line}\ndef main(id, config): ...", version=(3, 11))
    if sys.version_info[:2] == (3, 11) or not line.startswith("f"):
        assert [text.partition(": ")[0] for text in said] == ["main.py, line 1"]
        assert 'or in bot.toml: runtime = "python312")' in said[0]


@given(source=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_judged_without_a_crash(tmp_path_factory: pytest.TempPathFactory, source: bytes) -> None:
    assert all(isinstance(found, str) for found in problems(tmp_path_factory.mktemp("tree"), source))


GUARD = "\nif __name__ == '__main__':\n    "


@pytest.mark.parametrize(
    ("source", "form"),
    [
        ("def main(id, config): ...", "bot"),
        ("def main(id, config): ..." + GUARD + "main('a', {})", "bot"),
        ("def main(id='a', config=None): ..." + GUARD + "main()", "bot"),
        ("def main(id, config): ...\nmain('a', {})", "program"),
        ("async def main(id, config): ...\nasyncio.run(main('a', {}))", "program"),
        ("def main(id, config): ...\natexit.register(main)", "bot"),
        ("def main(): ...", "bot"),
        ("def main(): ..." + GUARD + "sys.exit(main())", "program"),
        ("def main(argv): ...\nmain(sys.argv)", "program"),
        ("def main(): ..." + GUARD + "trio.run(main)", "program"),
        ("def main():\n    yield 1\nfor n in main(): ...", "program"),
        ("@click.command()\ndef main(symbol): ..." + GUARD + "main()", "program"),
        ("@adapted\ndef main(bot): ...", "bot"),
        ("def main(symbol): ..." + GUARD + "typer.run(main)", "program"),
        ("from app import main" + GUARD + "main()", "program"),
        ("from app import main" + GUARD + "main('a', {})", "bot"),
        ("from app import main" + GUARD + "main(*sys.argv)", "program"),
        ("from app import main\nregister(main)", "bot"),
        ("print(1)", "program"),
        ("if sys.argv[0] == __file__:\n    run()", "program"),
        ("def main(bot_id, cfg): ..." + GUARD + "main('a', load())", "bot"),
        ("def main(bot, settings): ..." + GUARD + "main('a', load())", "bot"),
        ("def main(a, b): ..." + GUARD + "main('x', {})", "bot"),
        ("def main(who, what): ..." + GUARD + "main('x', json.load(file))", "bot"),
        ("def main(id, *rest): ..." + GUARD + "main()", "bot"),
        ("def main(fast=12, slow=26): ..." + GUARD + "main()", "program"),
        ("def main(fast, slow): ..." + GUARD + "main(12, slow=26)", "program"),
        ("def main(args, config): ..." + GUARD + "main(parse_args(), load())", "program"),
        ("def main(config, logger): ..." + GUARD + "main(load(), log)", "program"),
        ("def main(symbol: str, days: int = 5): ..." + GUARD + "typer.run(main)", "program"),
        ("def main(*argv): ..." + GUARD + "main(*sys.argv[1:])", "program"),
        ("def main(argv=None, stdin=None): ..." + GUARD + "sys.exit(main())", "program"),
        ("def main(fast, slow): ...", "bot"),
        ("def main(*args): ..." + GUARD + "main('a', dict(fast=12))", "bot"),
        ("def main(): ..." + GUARD + "Thread(target=main).start()", "program"),
        ("def main(fast, slow): ...\nThread(target=main, args=(12, 26)).start()", "program"),
        ("def main(): ...\ndef run(): main()\nrun()", "program"),
        ("def main(id, config): ...\ndef trial(): main('a', {})" + GUARD + "trial()", "bot"),
        ("def main(id, config): return main(id, config)\nlogging.basicConfig()", "bot"),
        ("@retried\ndef main(id, config): ..." + GUARD + "main('a', load())", "bot"),
        ("@timed\ndef main(fast, slow): ..." + GUARD + "main(12, 26)", "program"),
        ("@app.command()\ndef main(symbol='BTC'): ..." + GUARD + "app()", "program"),
        ("@bot.message_handler(['start'])\ndef main(message): ...\nbot.polling()", "program"),
        ("@retried(times=2)\ndef main(id, config): ...\nlogging.basicConfig()", "bot"),
        ("@bot.task\ndef main(id, config): ...\nbot.set_up()", "bot"),
        ("def main(): ..." + GUARD + "app.run()", "program"),
        ("from app import main" + GUARD + "main('BTC', 5)", "program"),
        ("from app import main" + GUARD + "main('a', config)", "bot"),
        ("from app import main\nmain('a', {})", "program"),
        ("from app import *\ndef run(): main()\nrun()", "program"),
        ("main = Bot()\nmain.start()", "either"),
        ("main = Bot()" + GUARD + "main.start()", "program"),
        ("main = make(1)\nprint(1)", "either"),
        ("main = make(1)" + GUARD + "try_out()", "bot"),
        ("def run(): ...\ncode = run()", "program"),
        ("rows = load()", "program"),
        ("from mybot.app import bot", "program"),
        ("x = 1", "bot"),
        ("from app import *", "bot"),
        ("from app import *\nprint(1)", "either"),
        ("from app import *" + GUARD + "run()", "program"),
        ("exec(open('main.txt').read())", "either"),
        ("exec(open('other.txt').read())", "program"),
    ],
)
def test_a_script_is_a_bot_or_a_program(source: str, form: str) -> None:
    assert Script(source, ast.parse(source)).form == form
