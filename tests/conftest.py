"""What many tests share: tiny images, one tiny detector, and the real images where there are some."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from postgres import Postgres

    from anogan.detector import Detector

ROOT = Path(__file__).parents[1]

# Networks this small gain nothing by a second thread, and threads of torch wait for a busy core in a loop, ten times as
# long. Set before torch is imported; servers, kernels and commands that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep this user's configuration, and with it the key of pseudonyms, out of the tests, also of their processes."""
    folder = tmp_path_factory.mktemp("configuration")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.delenv("ANOGAN_PSEUDONYM_KEY", raising=False)
        yield folder


@pytest.fixture
def anogan(capfd: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Return a function that runs one command in this process and returns its exit code, stdout and stderr."""
    from anogan import cli

    def run(*arguments: object) -> SimpleNamespace:
        code: object = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            code = leaving.code or 0
        out, err = capfd.readouterr()
        if isinstance(code, str):  # Python prints the sentence and leaves with 1
            code, err = 1, err + code
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture(scope="session")
def random_state() -> Callable[[], object]:
    """Return a function that returns where the random numbers of this process stand, to be compared with `==`."""
    import random

    import numpy as np
    import torch

    def state() -> object:
        _, keys, *rest = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), keys.tolist(), rest, random.getstate()

    return state


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with healthy/, abnormal/ and masks/: 40 and 12 textured discs. Do not write into it."""
    from anogan.data.synthetic import write_tiny

    folder = tmp_path_factory.mktemp("tiny")
    write_tiny(folder, n_healthy=40, n_abnormal=12, size=48, seed=0)
    return folder


@pytest.fixture(scope="session")
def unseen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as `tiny_folder`, of images that `tiny_detector` has not seen. Do not write into it."""
    from anogan.data.synthetic import write_tiny

    folder = tmp_path_factory.mktemp("unseen")
    write_tiny(folder, n_healthy=40, n_abnormal=12, size=48, seed=1)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of a detector trained and calibrated on `tiny_folder`. Do not write into it."""
    import anogan

    run = tmp_path_factory.mktemp("runs") / "tiny"
    config = anogan.load_config("tiny")
    scans = anogan.open_dataset(tiny_folder, config)
    detector = anogan.Detector.train(scans.train, config, run=run)
    detector.calibrate(scans.calibration, false_alarm_rate=0.2).save(run)
    return run


@pytest.fixture(scope="session")
def tiny_detector(tiny_run: Path) -> Detector:
    """Return the detector of `tiny_run`."""
    from anogan.detector import Detector

    return Detector.load(tiny_run)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a PostgreSQL server of this session; without one installed the test is skipped, and the skip says so."""
    from postgres import MISSING, Postgres

    if MISSING:
        pytest.skip(MISSING)
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of real images; without it the test is skipped, and the skip says so."""
    return _shared("data", "ANOGAN_DATA", "no real images")


@pytest.fixture(scope="session")
def faults_root() -> Path:
    """Return the folder of small files that once failed; without it the test is skipped, and the skip says so."""
    return _shared("faults", "ANOGAN_FAULTS", "no small files that once failed")


def _shared(name: str, variable: str, without: str) -> Path:
    root = Path(os.environ.get(variable) or ROOT.parent / "shared" / name)
    if not root.is_dir():
        pytest.skip(f"{without}: {root} is missing; name their folder in ${variable}")
    return root


@pytest.fixture
def empty_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run folder in which nothing has happened yet."""
    folder = tmp_path / "runs" / "empty"
    (folder / "training").mkdir(parents=True)
    monkeypatch.setenv("ANOGAN_RUN", str(folder))
    return folder
