"""What a Python bot finds around itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import sampled_from

from botdock_runtime_python311 import plugin
from botdock_runtime_python311.runtime import PYTHON311
from botdock_testing.runtime import Ended, bot


def run(source: str, **more: Any) -> Ended:
    with bot(PYTHON311, dedent(source), **more) as made:
        ended = made.run()
    assert (ended.stderr, ended.exit_code) == (b"", 0)
    return ended


def test_the_scripts_own_folder_goes_before_the_tree_and_the_tree_before_vendor() -> None:
    tree = {
        "vendor/one.py": "where = 'vendor'",
        "one.py": "where = 'tree'",
        "vendor/two.py": "where = 'vendor'",
        "deep/two.py": "where = 'beside'",
        "three.py": "where = 'tree'",
    }
    source = "import one, two, three\ndef main(id, config):\n    return [one.where, two.where, three.where]"
    assert run(source, tree=tree).reading.value == ["tree", "vendor", "tree"]
    assert run(source, tree=tree, script="deep/bot.py").reading.value == ["tree", "beside", "tree"]


def test_working_folder_arguments_and_names_are_the_bots() -> None:
    ended = run("""
        import os, sys

        def main(id, config):
            beside = os.path.dirname(sys.argv[0]) == os.path.dirname(__file__)
            names = [__name__, os.path.basename(__file__), beside, sys.argv[0] == __file__]
            return [*names, os.getcwd() == os.environ["CODE_MOUNT_DIR"], any("files" in folder for folder in sys.path)]

        if __name__ == "__main__":
            raise SystemExit("a bot is called, not run")
    """)
    assert ended.reading.value == ["main", "main.py", True, False, True, False]


@pytest.mark.parametrize(
    ("script", "tree", "name"),
    [
        ("main.py", {}, "main"),
        ("momentum.py", {}, "momentum"),
        ("strategies/sma.py", {}, "sma"),
        ("two words.py", {}, "main"),
        ("json.py", {}, "main"),
        ("momentum.py", {"momentum/__init__.py": ""}, "main"),
    ],
)
def test_its_module_can_be_imported_and_its_classes_pickled(script: str, tree: dict[str, str], name: str) -> None:
    source = """
        import dataclasses, inspect, pickle, sys

        @dataclasses.dataclass
        class Order:
            amount: int

        def main(id, config):
            copied = pickle.loads(pickle.dumps(Order(3))) == Order(3)
            return [copied, __name__, sys.modules[__name__].main is main, "amount" in inspect.getsource(Order)]
    """
    assert run(source, script=script, tree=tree).reading.value == [True, name, True, True]


def test_processes_of_its_own_find_its_functions() -> None:
    source = """
        import multiprocessing

        def double(number):
            return 2 * number

        def main(id, config):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return pool.map(double, [1, 2])
    """
    assert run(source).reading.value == [2, 4]


def test_an_image_may_keep_scripts_folders_off_the_import_path() -> None:
    with bot(PYTHON311, "import helper\ndef main(id, config):\n    return 1", tree={"helper.py": ""}) as made:
        made.prepare()
        with made.start(PYTHONSAFEPATH="1") as process:
            assert made.finish(process).reading.value == 1


def test_nothing_is_written_into_its_tree() -> None:
    with bot(PYTHON311, "import helper\ndef main(id, config):\n    pass", tree={"helper.py": ""}) as made:
        made.run()
        assert sorted(path.name for path in Path(made.context.code_dir).iterdir()) == ["helper.py", "main.py"]


def test_each_line_is_one_write_whatever_pythonunbuffered_says() -> None:
    source = "import sys\ndef main(id, config):\n    return [sys.stdout.line_buffering, sys.stdout.write_through]"
    with bot(PYTHON311, source) as made:
        made.prepare()
        with made.start(PYTHONUNBUFFERED="1") as process:
            assert made.finish(process).reading.value == [True, False]


def test_logging_that_nobody_set_up_shows_information() -> None:
    with bot(
        PYTHON311,
        "import logging\ndef main(id, config):\n    logging.getLogger('sma').info('hello')\n    logging.debug('no')",
    ) as made:
        assert made.run().stderr == b"INFO:sma:hello\n"


def test_logging_that_the_bot_sets_up_is_its_own() -> None:
    setups = {
        "logging.basicConfig(format='%(message)s!', level=logging.WARNING)": b"warned!\n",
        "logging.getLogger().setLevel(logging.ERROR)": b"",
    }
    for setup, said in setups.items():
        source = (
            f"import logging\n{setup}\ndef main(id, config):\n    logging.info('no')\n    logging.warning('warned')"
        )
        with bot(PYTHON311, source) as made:
            assert made.run().stderr == said


def test_a_later_setup_of_logging_takes_effect() -> None:
    source = """
        import logging, sys

        def main(id, config):
            logging.basicConfig(format="%(message)s!", stream=sys.stdout)
            logging.warning("now")
    """
    assert run(source).stdout == b"now!\n"


def test_the_time_zone_is_the_one_it_was_given() -> None:
    source = "import time\ndef main(id, config):\n    return [time.tzname[0], time.localtime(0).tm_hour]"
    assert run(source, variables={"TZ": "XYZ-5"}).reading.value == ["XYZ", 5]


def test_variables_are_exact_whatever_the_locale_is() -> None:
    source = "import os\ndef main(id, config):\n    return os.environb[b'NAME'].hex()"
    value = "Zürich \U0001f600"
    with bot(PYTHON311, source, variables={"NAME": value}) as made:
        made.prepare()
        for locale in ("C", "POSIX", "C.UTF-8", "de_DE.ISO-8859-1"):
            with made.start(LC_ALL=locale) as process:
                assert made.finish(process).reading.value == value.encode().hex()


def test_it_is_called_in_the_main_thread_with_positions() -> None:
    source = """
        import threading

        def main(*args, **kwargs):
            return [list(args), kwargs, threading.current_thread() is threading.main_thread()]
    """
    assert run(source, id="x", config={"a": 1}).reading.value == [["x", {"a": 1}], {}, True]


def test_the_config_keeps_its_order() -> None:
    source = "def main(id, config):\n    return list(config)"
    assert run(source, config=json.loads('{"b": 1, "a": 2, "c": 3}')).reading.value == ["b", "a", "c"]


def test_the_plugin_registers_it() -> None:
    assert list(plugin.botdock_runtimes()) == [PYTHON311]


@given(name=sampled_from(sorted(sys.stdlib_module_names)))
@settings(max_examples=25, deadline=None)
def test_a_module_of_its_own_is_found_where_plain_python_finds_it(name: str) -> None:
    ask = f"import sys\nimport {name} as module\nfound = getattr(module, 'OWNER', 'python')\n"
    tree = {f"{name}.py": "OWNER = 'the bot'", "plain.py": f"{ask}print(found)"}
    with bot(PYTHON311, f"{ask}def main(id, config):\n    return [found, sys.executable]", tree=tree) as made:
        found, python = made.run().reading.value
        command, environ = [python, "-B", "plain.py"], {"PATH": os.environ["PATH"]}
        plain = subprocess.run(  # it fails where Python itself needs what the bot's file hides
            command, cwd=made.context.code_dir, env=environ, capture_output=True, text=True, check=False
        )
    assert found == plain.stdout.strip(), plain.stderr


@pytest.mark.parametrize("tree", [{"bots/__init__.py": ""}, {}])
def test_a_script_with_relative_imports_is_a_module_of_its_package(tree: dict[str, str]) -> None:
    files = {"bots/sma/strategy.py": "from ..shared import SIDE", "bots/shared.py": "SIDE = 'buy'", **tree}
    if tree:
        files["bots/sma/__init__.py"] = ""
    source = "from .strategy import SIDE\ndef main(id, config):\n    return [SIDE, __name__, __package__]"
    value = run(source, tree={**files, "bots/sma/signal.py": ""}, script="bots/sma/main.py").reading.value
    assert value == ["buy", "bots.sma.main", "bots.sma"]


def test_path_files_of_vendor_hold() -> None:
    tree = {"vendor/extra.pth": "nested\n", "vendor/nested/deep.py": "where = 'nested'"}
    assert run("import deep\ndef main(id, config):\n    return deep.where", tree=tree).reading.value == "nested"


def test_modules_that_pythonpath_names_do_not_reach_the_wrapper() -> None:
    tree = {"lib/json.py": "raise SystemExit('not for the wrapper')", "lib/helper.py": "where = 'lib'"}
    with bot(PYTHON311, "import helper\ndef main(id, config):\n    return helper.where", tree=tree) as made:
        made.prepare()
        with made.start(PYTHONPATH=f"{made.context.code_dir}/lib:{Path(os.__file__).parent}") as process:
            assert made.finish(process).reading.value == "lib"


@pytest.mark.parametrize("start", ["subprocess.run([sys.executable, '-c', CHILD])", "spawn(worker)"])
def test_lines_of_programs_that_it_starts_are_out_at_once(start: str) -> None:
    source = f"""
        import multiprocessing, os, signal, subprocess, sys
        CHILD = "import os, signal; print('a line'); os.kill(os.getpid(), signal.SIGKILL)"

        def worker():
            exec(CHILD)

        def spawn(target):
            process = multiprocessing.get_context("spawn").Process(target=target)
            process.start()
            process.join()

        def main(id, config):
            {start}
    """
    assert run(source).stdout == b"a line\n"


@pytest.mark.parametrize("main", ["def main(id, config):\n    yield 1", "async def main(id, config):\n    yield 1"])
def test_a_main_that_is_a_generator_does_not_count_as_run(main: str) -> None:
    with bot(PYTHON311, f"def decorated(function):\n    return function\n\n@decorated\n{main}") as made:
        ended = made.run()
    assert ended.exit_code == 1
    assert b"generator" in ended.stderr
