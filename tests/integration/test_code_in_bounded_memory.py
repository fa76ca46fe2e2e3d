"""Looking at a stranger's code, and reading what it writes, costs the runner bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

MIB = 1024 * 1024
ALLOWED = 64 * 1024
"""KiB above a runner that has run one bot."""
HUGE = 16 * MIB
FINE = b"def main(id, config): return 1\n"


def filled(unit: bytes, size: int = HUGE) -> bytes:
    return unit * (size // len(unit))


CORPUS: Mapping[str, Mapping[str, bytes]] = {
    "statements": {"main.py": filled(b"a;b\n")},
    "statements that are looked at": {"main.py": filled(b"a\n", 8 * 1024)},
    "one line": {"main.py": b"#" * HUGE},
    "elif": {"main.py": FINE + b"if 0: pass\n" + b"elif 0: pass\n" * 500},
    "sum": {"main.py": FINE + b"x = " + b"1 + " * 1200 + b"1\n"},
    "package": {"main.js": b"exports.main = () => 1", "package.json": b"[" + filled(b"[],") + b"[]]"},
    "package that is looked at": {"main.js": b"exports.main = () => 1", "package.json": filled(b"[],", 32 * 1024)},
    "shell": {"main.sh": b"exit 0\n{ " + filled(b"a;") + b"}"},
    "first line": {"main.sh": b"#!" + b"x" * HUGE},
    "dotted key": {"main.py": FINE, "bot.toml": b"a." * 30_000 + b"a = 1"},
    "many dotted keys": {"main.py": FINE, "bot.toml": b"".join(b"x%d.b.c = 1\n" % n for n in range(499))},
    "brackets": {"main.py": FINE, "bot-config.yaml": b"a: [" + b"[]," * 900 + b"]"},
    "letters": {"main.py": FINE, "bot-config.yaml": b"a: [" + filled(b"a,", 60_000) + b"]"},
    "names": {
        "bot.toml": b'runtime = "python"\nentrypoints.bot = "%s"' % (b"ab" * 500),
        **{"ab" * 100 + f"/{n}" + "ab" * 100 + ".py": b"" for n in range(2000)},
    },
    "a line that does not end": {"main.py": b"import sys\nfor _ in range(512): sys.stdout.write('x' * 65536)\n" + FINE},
    "empty lines": {"main.py": b"import sys\nfor _ in range(12): sys.stdout.write('\\n' * 65536)\n" + FINE},
}
RUNNER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from botdock import BotdockError, Config, DockerRunner, Executable, Limits

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])

def run(runner, path):
    bot = Executable(id="bot", file_path=str(path), limits=Limits(memory=64 * 1024 * 1024), timeout=120)
    try:
        execution = runner.start(bot)
        for _ in execution.logs(follow=True):
            pass
        return str(execution.wait().outcome)
    except BotdockError as error:
        return str(error)

found = {}
with DockerRunner(Config(engine="process", home=sys.argv[1])) as runner:
    for path in map(Path, sys.argv[2:]):
        said = run(runner, path)
        found[path.stem] = (said[:300], peak())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: run(runner, path), [Path(path) for path in sys.argv[2:] if "looked at" in path] * 4))
    found["four at once"] = ("", peak())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    folder = tmp_path_factory.mktemp("corpus")
    paths = [packed(folder / "idle.zip", {"main.py": FINE})]
    paths += [packed(folder / f"{name}.zip", files) for name, files in CORPUS.items()]
    command = [sys.executable, "-c", RUNNER, str(folder / "home"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    outcomes: dict[str, tuple[str, int]] = json.loads(done.stdout)
    return outcomes


def packed(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_no_code_costs_more_than_64_mib(found: dict[str, tuple[str, int]]) -> None:
    before = found["idle"][1]
    growth = {name: peak - before for name, (_, peak) in found.items()}
    assert max(growth.values()) <= ALLOWED, growth


@pytest.mark.parametrize("name", ["idle", "elif", "sum", "a line that does not end", "empty lines"])
def test_valid_code_runs(found: dict[str, tuple[str, int]], name: str) -> None:
    assert found[name][0] == "succeeded"


def test_no_limit_of_ours_is_called_a_bug(found: dict[str, tuple[str, int]]) -> None:
    assert not [said for said, _ in found.values() if "bug in botdock" in said]
