"""The oci engine on crun as on runc: the contract of all engines, and runtimes that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from botdock import Config
from botdock.errors import ContainerError
from botdock.model import Engine
from botdock_engine_oci.cgroups import folders_of
from botdock_engine_oci.engine import OciEngine
from botdock_testing import EngineContract
from botdock_testing.engine import asked

CALL = 60.0
MakeConfig = Callable[..., Config]


@pytest.mark.sampled(6)  # the contract on runc, in the engine's own tests, is held in full
class TestContractOnCrun(EngineContract):
    @pytest.fixture
    def config(self, make_oci_config: MakeConfig) -> Config:
        return make_oci_config("crun")

    @pytest.fixture
    def engine(self, config: Config) -> Iterator[Engine]:
        engine = OciEngine.from_config(config)
        yield engine
        engine.close()

    @pytest.fixture
    def reopened(self, config: Config) -> Engine:
        return OciEngine.from_config(config)


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_what_a_runtime_that_fails_says_is_the_error_and_nothing_is_left(
    make_oci_config: MakeConfig, tmp_path: Path, runtime: str
) -> None:
    config = make_oci_config(runtime)
    engine = OciEngine.from_config(config)
    (tmp_path / "result").touch()
    container = engine.create(*asked(tmp_path, result=str(tmp_path / "result")), timeout=CALL)
    (config.home_dir / "oci" / container.id / "rootfs").resolve().rename(tmp_path / "elsewhere")
    with pytest.raises(ContainerError, match=r"oci-roots|rootfs"):
        engine.start(container, timeout=CALL)
    assert engine.inspect(container, timeout=CALL).exit_code is None
    engine.remove(container, timeout=CALL)
    assert [folder for folder in folders_of(container.id) if Path(folder).exists()] == []
    assert list(engine.list({}, timeout=CALL)) == []
