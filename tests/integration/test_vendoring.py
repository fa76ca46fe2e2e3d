"""`botdock pack --vendor`: packages in the archive, the same bytes each time, and no code of theirs run here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from testbed.package_index import PackageIndex, package_index, silent_index

Done = subprocess.CompletedProcess[str]
Packed = tuple[Done, dict[str, bytes]]
BACKEND = """
import pathlib
def build_wheel(folder, *_):
    pathlib.Path(MARKER).touch()
    import sys
    sys.path.insert(0, TESTBED)
    from testbed.package_index import write_wheel
    wheel = "tinybuilt-1.0-py3-none-any.whl"
    write_wheel(pathlib.Path(folder, wheel), "tinybuilt", "1.0", {"tinybuilt.py": "BUILT = 1"})
    return wheel
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    with package_index(tmp_path / "index") as served:
        yield served


@pytest.fixture
def bot(tmp_path: Path) -> Path:
    folder = tmp_path / "bot"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path, clean_environment: dict[str, str]) -> dict[str, str]:
    """A user's, without settings for pip and npm."""
    kept = {name: value for name, value in clean_environment.items() if not name.startswith(("PIP_", "NPM_"))}
    own = {"PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp_path / "home"), "BOTDOCK_HOME": str(tmp_path / "state")}
    return kept | own


@pytest.fixture
def botdock(tmp_path: Path, environment: dict[str, str], index: PackageIndex) -> Callable[..., Done]:
    """Run a command line, with an index of the user's own."""

    def run(*args: str, **variables: str) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "botdock_cli", *args],
            cwd=tmp_path,
            env=environment | {"PIP_INDEX_URL": f"{index.url}/simple"} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def pack(tmp_path: Path, botdock: Callable[..., Done]) -> Callable[..., Packed]:
    """Pack the bot, and return what was said and what the archive holds."""

    def run(*args: str, **variables: str) -> Packed:
        done = botdock("pack", "bot", "--vendor", "--force", *args, **variables)
        if done.returncode or "--output" in args:
            return done, {}
        with zipfile.ZipFile(tmp_path / "bot.zip") as archive:
            return done, {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}

    return run


def names_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_packages_of_a_python_bot_are_in_the_archive_and_it_runs(
    tmp_path: Path, bot: Path, index: PackageIndex, pack: Callable[..., Packed], botdock: Callable[..., Done]
) -> None:
    index.add_wheel("tinybase", {"tinybase.py": "ONE = 1"})
    index.add_wheel(
        "tinystats",
        {"tinystats/__init__.py": "from tinybase import ONE\ndef mean(of): return ONE * sum(of) / len(of)"},
        requires=["tinybase>=1"],
        entry_points="[console_scripts]\ntinystats = tinystats:mean\n",
    )
    (bot / "main.py").write_text(
        "from importlib.metadata import files, version\nimport tinystats\n"
        "def main(id, config):\n    assert all(each.locate().exists() for each in files('tinystats'))\n"
        "    return [tinystats.mean([1, 2]), version('tinystats')]\n"
    )
    (bot / "requirements.txt").write_text("tinystats  # and what it needs\n")
    (bot / "notes.txt").write_text("private")
    (bot / ".botdockignore").write_text("notes.txt\n")
    (bot / "vendor").mkdir()
    (bot / "vendor" / "stale.py").touch()
    before = names_below(bot)
    done, packed = pack()
    assert done.returncode == 0, done.stderr
    assert "for python311 (python:3.11-slim), on this machine, without running code of theirs" in done.stderr
    assert "vendor of bot is left out" in done.stderr
    assert {"vendor/tinybase.py", "vendor/tinystats/__init__.py", "main.py"} <= packed.keys()
    assert not [name for name in packed if "bin/" in name or "pyc" in name or name in {"vendor/stale.py", "notes.txt"}]
    assert names_below(bot) == before, "the folder stays as it is"
    again, content = (tmp_path / "bot.zip").read_bytes(), pack(TMPDIR=str(tmp_path / "state"))[1]
    assert (content, (tmp_path / "bot.zip").read_bytes()) == (packed, again), "the same bytes"
    ran = json.loads(botdock("run", "bot.zip", "--engine", "process", "--json").stdout)
    assert ran["value"] == [1.5, "1.0"]


@pytest.mark.parametrize(
    ("runtime", "configured", "image", "taken"),
    [
        ("python312", "python:3.12-slim", "", "cp312 manylinux"),
        ("python311", "python:3.11-slim", "", "cp311 manylinux"),
        ("python312", "python:3.12-alpine", "", "cp312 musllinux"),
        ("python312", "python:3.12-slim", 'image = "python:3.12-alpine"', "cp312 musllinux"),
    ],
)
def test_wheels_are_those_of_the_python_and_the_image_that_run_them(
    bot: Path, index: PackageIndex, pack: Callable[..., Packed], runtime: str, configured: str, image: str, taken: str
) -> None:
    machine = os.uname().machine
    for python in ("cp311", "cp312"):
        for name, libc in (("manylinux", "manylinux_2_28"), ("musllinux", "musllinux_1_2")):
            tag = f"{python}-{python}-{libc}_{machine}"
            index.add_wheel("tinynative", {"tinynative.py": f"TAKEN = '{python} {name}'"}, tag=tag)
    (bot / "bot.toml").write_text(f'runtime = "{runtime}"\n{image}\n')
    (bot / "requirements.txt").write_text("tinynative\n")
    done, packed = pack(**{f"BOTDOCK_RUNTIME__IMAGES__{runtime.upper()}": configured})
    assert packed["vendor/tinynative.py"].decode() == f"TAKEN = '{taken}'", done.stderr


def test_an_archive_in_the_folder_is_not_packed(tmp_path: Path, bot: Path, pack: Callable[..., Packed]) -> None:
    (bot / "requirements.txt").touch()
    (bot / "main.py").touch()
    for _ in range(2):
        done, _ = pack("--runtime", "python311", "--output", "bot/own.zip")
        assert done.returncode == 0, done.stderr
        with zipfile.ZipFile(bot / "own.zip") as archive:
            assert sorted(archive.namelist()) == ["main.py", "requirements.txt", "vendor/"]


def test_nothing_is_built_unless_that_is_asked_for(tmp_path: Path, bot: Path, pack: Callable[..., Packed]) -> None:
    built = tmp_path / "built"
    source = bot / "tinybuilt"
    source.mkdir()
    backend = BACKEND.replace("MARKER", repr(str(built))).replace("TESTBED", repr(str(Path(__file__).parents[1])))
    (source / "backend.py").write_text(backend)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (bot / "requirements.txt").write_text("./tinybuilt\n")
    done, _ = pack("--runtime", "python311")
    assert (done.returncode, built.exists()) == (2, False)
    assert done.stderr.endswith(
        "botdock: requirements.txt, line 1: './tinybuilt' names no wheel, and would be built\n"
        "  --build allows that, which runs code of the package on this machine.\n"
    )
    done, packed = pack("--runtime", "python311", "--build")
    assert (done.returncode, built.exists()) == (0, True), done.stderr
    assert "vendor/tinybuilt.py" in packed


def test_a_package_without_a_wheel_is_told_how_it_is_built(
    bot: Path, index: PackageIndex, pack: Callable[..., Packed]
) -> None:
    wheel = index.add_wheel("tinysource", {})
    wheel.rename(wheel.with_name("tinysource-1.0.tar.gz"))
    (bot / "requirements.txt").write_text("tinysource\n")
    done, _ = pack()
    assert done.returncode == 2
    assert "No matching distribution found for tinysource" in done.stderr
    assert "what requirements.txt lists cannot be installed" in done.stderr
    assert "--build builds a package that has none" in done.stderr


def test_an_interrupt_ends_the_installer_and_leaves_nothing(
    tmp_path: Path, bot: Path, environment: dict[str, str]
) -> None:
    (bot / "requirements.txt").write_text("tiny\n")
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "botdock_cli", "pack", "bot", "--vendor"]
    with silent_index() as (url, asked, gone):
        environment |= {"PIP_INDEX_URL": url, "PIP_DEFAULT_TIMEOUT": "600", "TMPDIR": str(tmp_path / "temporary")}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
            assert asked.wait(60)
            process.terminate()
            _, said = process.communicate(timeout=60)
        assert gone.wait(60), "the installer is left behind"
    assert (process.returncode, b"Traceback" in said) == (143, False)
    assert not list(tmp_path.glob("bot*.zip"))
    assert not [path.name for path in (tmp_path / "temporary").glob("botdock-*")]


@pytest.mark.parametrize(
    ("files", "args", "said"),
    [
        ((), (), "it holds no package.json (nodejs20), requirements.txt (python311)"),
        (("requirements.txt", "package.json"), (), "Say with --runtime which of them counts."),
        (("requirements.txt",), ("--runtime", "nodejs22"), "lists no packages for nodejs22: it holds no package.json"),
        (("requirements.txt",), ("--runtime", "bash"), "packages cannot be installed for the runtime bash"),
        (("requirements.txt",), ("--runtime", "pyton311"), "did you mean python311"),
        ((), ("--output", "bot.rar"), "'bot.rar' has no suffix of an archive"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_or_two(
    bot: Path, pack: Callable[..., Packed], files: tuple[str, ...], args: tuple[str, ...], said: str
) -> None:
    for name in files:
        (bot / name).touch()
    done, _ = pack(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.node
@pytest.mark.parametrize("locked", [True, False])
def test_packages_of_a_node_bot_are_in_the_archive_and_no_script_of_theirs_runs(
    tmp_path: Path, bot: Path, pack: Callable[..., Packed], botdock: Callable[..., Done], locked: bool
) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not on PATH")
    package = tmp_path / "tiny"
    package.mkdir()
    script = {"install": f"touch {tmp_path}/installed"}
    described = {"name": "tiny", "version": "1.0.0", "bin": "index.js", "scripts": script}
    (package / "package.json").write_text(json.dumps(described))
    (package / "index.js").write_text("exports.mean = (of) => of.reduce((sum, each) => sum + each) / of.length;")
    npm = partial(subprocess.run, cwd=bot, check=True, capture_output=True, env={**os.environ, "HOME": str(tmp_path)})
    npm(["npm", "pack", str(package)])
    (bot / "package.json").write_text(json.dumps({"dependencies": {"tiny": "file:tiny-1.0.0.tgz"}}))
    if locked:
        npm(["npm", "install", "--package-lock-only", "--offline"])
    (bot / "main.js").write_text("exports.main = () => require('tiny').mean([1, 2]);")
    (bot / "node_modules").mkdir()
    (bot / "node_modules" / "stale.js").touch()
    before = names_below(bot)
    done, packed = pack()
    assert done.returncode == 0, done.stderr
    assert "node_modules/tiny/index.js" in packed
    assert not [name for name in packed if "stale" in name or "/." in name]
    assert ("package-lock.json" in packed) == locked
    assert (names_below(bot), (tmp_path / "installed").exists()) == (before, False)
    again = (tmp_path / "bot.zip").read_bytes()
    assert (pack()[1], (tmp_path / "bot.zip").read_bytes()) == (packed, again), "the same bytes"
    ran = json.loads(botdock("run", "bot.zip", "--engine", "process", "--json").stdout)
    assert ran["value"] == 1.5
