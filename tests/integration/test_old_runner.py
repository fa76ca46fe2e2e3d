"""Archives as the old runner ran them, from its bucket, by its variables and its six methods: they run unchanged."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from botdock import Config, DockerRunner, Executable, PluginManager
from botdock.model import StorageArea
from testbed.minio import MinioServer
from testbed.waiting import until

MANIFEST = """
name: threshold
description: "Says when a price passes a threshold"
version: 1.0.13
author: "a team"
type: {kind}
runtime: {runtime}

entrypoints:
  bot: {bot}
  backtest: {backtest}

schema:
  bot: bot-schema.json
  backtest: backtest-schema.json

readme: README.md
hasFrontend: true
metadata:
  categories: [alerts]
  tags: [example]
"""
PYTHON = {
    "bot-config.yaml": MANIFEST.format(kind="realtime", runtime="python3.11", bot="main.py", backtest="backtest.py"),
    "main.py": """
import logging, time
from typing import Any, Dict

import pricing

logger = logging.getLogger(__name__)


def main(id: str, config: Dict[str, Any]) -> Dict[str, Any]:
    logger.info(f"bot {id} watches {config['symbol']} at {pricing.price(config['symbol'])}")
    while config.get("forever", True):
        time.sleep(0.1)
    return {"status": "success", "message": f"{id} is done"}


if __name__ == "__main__":
    print(main("local", {"symbol": "BTC", "forever": False}))
""",
    "backtest.py": """
import json, os

from pricing import price

def main(id, config):
    print("testing", id, os.getcwd(), json.loads(os.environ["BACKTEST_CONFIG"]) == config)
    metrics = {"total_return": 0.12, "start": price(config["symbol"])}
    return {"status": "success", "results": {"metrics": metrics, "plots": [], "tables": []}}
""",
    "requirements.txt": "pricing==1.0\n",
    "vendor/pricing/__init__.py": "def price(symbol):\n    return {'BTC': 45000}[symbol]\n",
    "bot-schema.json": '{"type": "object"}',
    "README.md": "# threshold\n",
}
NODE = {
    "bot-config.yaml": MANIFEST.format(kind="realtime", runtime="nodejs20", bot="main", backtest="backtest"),
    "main.js": """
const { price } = require('pricing');

async function main(id, config) {
  console.log(`bot ${id} watches ${config.symbol} at ${price(config.symbol)}`);
  while (config.forever !== false) await new Promise((resolve) => setTimeout(resolve, 100));
  return { status: 'success', message: `${id} is done` };
}

module.exports = { main };
""",
    "backtest.js": """
const { price } = require('pricing');

module.exports.main = (id, config) => {
  console.log('testing', id, process.cwd(), JSON.stringify(config) === process.env.BACKTEST_CONFIG);
  const metrics = { total_return: 0.12, start: price(config.symbol) };
  return { status: 'success', results: { metrics, plots: [], tables: [] } };
};
""",
    "package.json": '{"name": "threshold", "version": "1.0.13", "main": "main.js", "dependencies": {"pricing": "1.0"}}',
    "node_modules/pricing/package.json": '{"name": "pricing", "main": "index.js"}',
    "node_modules/pricing/index.js": "exports.price = (symbol) => ({ BTC: 45000 })[symbol];\n",
}
BOTS = {"python3.11": (PYTHON, "main.py", "backtest.py"), "nodejs20": (NODE, "main", "backtest")}


def zipped(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


@pytest.fixture
def config(minio_server: MinioServer, docker_host: str, docker_images: Mapping[str, str], tmp_path: Path) -> Config:
    """The old runner's variables, with buckets of this test's own, and both archives in the one for code."""
    mark = secrets.token_hex(6)
    config = Config.load(
        environ={
            "MINIO_ENDPOINT": minio_server.endpoint,
            "MINIO_ACCESS_KEY": minio_server.access_key,
            "MINIO_SECRET_KEY": minio_server.secret_key,
            "MINIO_SSL": "false",
            "MINIO_CODE_BUCKET": f"custom-bots-{mark}",
            "MINIO_BACKTESTS_BUCKET": f"backtests-{mark}",
            "MINIO_LOGS_BUCKET": f"bot-logs-{mark}",
            "BOTDOCK_STORAGE": "minio",
            "BOTDOCK_HOME": str(tmp_path / "home"),
            "BOTDOCK_DOCKER__HOST": docker_host,
            **{f"BOTDOCK_RUNTIME__IMAGES__{name.upper()}": image for name, image in docker_images.items()},
        }
    )
    with closing(backend(config, StorageArea.CODE)) as code:
        for runtime, (files, *_) in BOTS.items():
            code.put(f"{runtime}.zip", io.BytesIO(zipped(files)))
    return config


def backend(config: Config, area: StorageArea) -> Any:
    return PluginManager.load(config.plugins).storage_backend("minio").factory(config, area)


@pytest.fixture
def runner(config: Config) -> Iterator[DockerRunner]:
    with DockerRunner(config) as runner:
        yield runner


def executable(runtime: str, **fields: Any) -> Executable:
    _, bot, backtest = BOTS[runtime]
    return Executable(
        id="threshold-1",
        runtime=runtime,
        entrypoint_files={"bot": bot, "backtest": backtest},
        config={"symbol": "BTC", **fields.pop("config", {})},
        file_path=f"{runtime}.zip",
        **fields,
    )


@pytest.mark.parametrize("runtime", BOTS)
def test_a_bot_runs_until_it_is_stopped(runtime: str, runner: DockerRunner) -> None:
    bot = executable(runtime, entrypoint="bot", is_long_running=True, persist_results=False, segment=1)
    started = runner.start_container(bot)
    assert (started.status, started.is_long_running, bool(started.container_id)) == ("running", True, True)
    until(lambda: "bot threshold-1 watches BTC at 45000" in runner.get_container_logs(started.container_id, 100))
    assert runner.get_container_status(started.container_id).state == "running"
    assert [each.container_id for each in runner.list_managed_containers(1)] == [started.container_id]
    assert not runner.list_managed_containers(2)
    runner.stop_container(started.container_id, bot)
    assert not runner.list_managed_containers(1)


@pytest.mark.parametrize("runtime", BOTS)
def test_a_bot_ends_by_itself(runtime: str, runner: DockerRunner) -> None:
    result = runner.start_container(executable(runtime, entrypoint="bot", config={"forever": False}))
    assert (result.status, result.exit_code, result.error) == ("success", 0, "")
    assert result.value == {"status": "success", "message": "threshold-1 is done"}


@pytest.mark.parametrize("runtime", BOTS)
def test_a_backtest_of_the_same_archive_keeps_its_analysis(runtime: str, runner: DockerRunner, config: Config) -> None:
    result = runner.start_container(executable(runtime, entrypoint="backtest", persist_results=True))
    assert (result.status, result.exit_code) == ("success", 0)
    assert result.output.casefold() == "testing threshold-1 /backtest true\n"
    found = json.loads(result.result_file_contents)
    assert found["results"] == {"metrics": {"total_return": 0.12, "start": 45000}, "plots": [], "tables": []}
    runner.close()  # which waits until the storage has what was handed on
    with closing(backend(config, StorageArea.RESULTS)) as results, results.get("threshold-1/analysis.json") as reader:
        assert json.loads(reader.read()) == found
