"""Slides on worker processes: the tables of a single machine, also where a worker dies."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import napari_nucbudget
from napari_nucbudget.errors import ConfigError, ImageError, ModelError
from napari_nucbudget.infer import cluster
from napari_nucbudget.infer.cluster import BlockJob, compute_block, compute_on, connected
from napari_nucbudget.infer.slide import iter_slide
from napari_nucbudget.io.slides import slide_fingerprint
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.types.progress import result_of
from tests.infer import slide_case

pytestmark = [
    pytest.mark.filterwarnings("ignore:Port .* is already in use"),
    # dask leaves a socket open when a worker is killed while it is being called
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket"),
]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    slide_case.small_blocks(monkeypatch.setattr)
    yield
    gc.collect()  # that such a socket is noticed here, not in the test of another file


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with connected(local=3) as client:
        yield client


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_case.write(tmp_path / "a.tif", slide_case.draw()[0])


def test_tables_equal_those_of_one_machine_although_a_worker_is_killed(
    client: Any, slide: Path, tiny_model: Path, tmp_path: Path
) -> None:
    detector = Detector.load(tiny_model, device="cpu")
    compute = compute_on(client, model=str(tiny_model), device="cpu", threads=1)
    other = slide_case.write(tmp_path / "b.tif", slide_case.draw(seed=1)[0])
    for number, path in enumerate((slide, other)):
        steps = iter_slide(path, detector, out=tmp_path / f"many{number}", compute=compute)
        next(steps)
        next(steps)  # the first block is done, others are computed at this moment
        if number == 0:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        many = result_of(steps)
        one = result_of(iter_slide(path, detector, out=tmp_path / f"one{number}"))
        assert many.table.path.read_bytes() == one.table.path.read_bytes()
        assert one.table.nuclei > 50


def test_one_machine_goes_on_with_what_a_cluster_began(
    client: Any, slide: Path, tiny_model: Path, tmp_path: Path
) -> None:
    detector = Detector.load(tiny_model, device="cpu")
    compute = compute_on(client, model=str(tiny_model), device="cpu", threads=1)
    steps = iter_slide(slide, detector, out=tmp_path / "out", compute=compute)
    for _ in range(5):
        next(steps)
    steps.close()
    rest = result_of(iter_slide(slide, detector, out=tmp_path / "out"))
    one = result_of(iter_slide(slide, detector, out=tmp_path / "one"))
    assert rest.resumed > 0
    assert rest.table.path.read_bytes() == one.table.path.read_bytes()


def job(slide: Path, model: Path, **changes: Any) -> BlockJob:
    values: dict[str, Any] = {
        "version": napari_nucbudget.__version__,
        "path": str(slide),
        "fingerprint": slide_fingerprint(slide),
        "mpp": 0.55,
        "threshold": 0.3,
        "min_distance_um": None,
        "model": str(model),
        "weights": "0",
        "classifier": None,
        "classifier_weights": None,
        "device": "cpu",
        "runtime": "eager",
        "classifier_runtime": None,
        "scores": False,
        "threads": None,
    }
    return BlockJob(**{**values, **changes})


ON_A_WORKER = r"On the worker tcp://127\.0\.0\.1:\d+: "


def computed(client: Any, job: BlockJob) -> Any:
    return client.submit(compute_block, job, None, pure=False).result()


def test_a_worker_that_sees_another_slide_says_so(
    client: Any, slide: Path, tiny_model: Path
) -> None:
    said = ON_A_WORKER + r"\S+a\.tif is another slide than was asked for\. All machines must see"
    with pytest.raises(ImageError, match=said):
        computed(client, job(slide, tiny_model, fingerprint="another"))


def test_a_worker_that_sees_no_slide_says_so(client: Any, slide: Path, tiny_model: Path) -> None:
    asked = job(slide, tiny_model, path=str(slide.with_name("b.tif")))
    said = ON_A_WORKER + r"\S+b\.tif cannot be read: No such file.+All machines must see"
    with pytest.raises(ImageError, match=said):
        computed(client, asked)


def test_a_worker_that_has_another_model_says_so(
    client: Any, slide: Path, tiny_model: Path
) -> None:
    said = ON_A_WORKER + r"\S+tiny-model is another model than was asked for\. All machines need"
    with pytest.raises(ModelError, match=said):
        computed(client, job(slide, tiny_model))


def test_a_worker_that_has_no_such_model_says_so(
    client: Any, slide: Path, tiny_model: Path
) -> None:
    said = ON_A_WORKER + r"There is no model named 'mine'.+All machines need the same model"
    with pytest.raises(ModelError, match=said):
        computed(client, replace(job(slide, tiny_model), model="mine"))


def test_a_worker_of_another_version_refuses(client: Any, slide: Path, tiny_model: Path) -> None:
    said = r"napari-nucbudget 99 is needed on the worker tcp://\S+, which has napari-nucbudget 0\."
    with pytest.raises(ConfigError, match=said):
        computed(client, job(slide, tiny_model, version="99"))


def test_a_worker_of_a_version_that_does_not_ask_is_refused(
    client: Any, slide: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Detector.load(tiny_model, device="cpu")
    monkeypatch.setattr(napari_nucbudget, "__version__", "99")
    monkeypatch.setattr(client, "submit", None)  # nothing is handed out
    steps = iter_slide(
        slide, detector, out=tmp_path / "out", compute=compute_on(client, model=str(tiny_model))
    )
    with pytest.raises(ConfigError, match=r"99 is needed on the worker tcp://\S+, which has"):
        result_of(steps)


def test_workers_that_come_later_are_given_blocks_too(
    client: Any, slide: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.wait_for_workers(3)
    monkeypatch.setattr(cluster, "LOOK_S", 0.05)
    handed_out: list[Any] = []
    submit = client.submit

    def counted(*arguments: Any, **options: Any) -> Any:
        handed_out.append(arguments)
        return submit(*arguments, **options)

    monkeypatch.setattr(client, "submit", counted)
    detector = Detector.load(tiny_model, device="cpu")
    compute = compute_on(client, model=str(tiny_model), device="cpu", threads=1)
    steps = iter_slide(slide, detector, out=tmp_path / "out", compute=compute)
    next(steps)
    next(steps)  # the first block is done
    assert len(handed_out) == 1 + 6  # two for each of three threads
    try:
        client.cluster.scale(4)
        client.wait_for_workers(4)
        next(steps)
        next(steps)
    finally:
        client.cluster.scale(3)
    assert len(handed_out) == 2 + 8  # two for each of four threads
    steps.close()


def test_a_scheduler_without_workers_is_said_and_waited_for(
    slide: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "LOOK_S", 0.1)
    said: list[str] = []
    with distributed.LocalCluster(
        n_workers=0, processes=False, threads_per_worker=1, protocol="tcp", dashboard_address=":0"
    ) as empty:

        def warn(message: str, *values: Any) -> None:
            said.append(message % values)
            empty.scale(1)

        monkeypatch.setattr(cluster.log, "warning", warn)
        detector = Detector.load(tiny_model, device="cpu")
        with connected(empty.scheduler_address) as client:
            compute = compute_on(client, model=str(tiny_model), device="cpu", threads=1)
            steps = iter_slide(slide, detector, out=tmp_path / "out", compute=compute)
            assert result_of(steps).table.nuclei > 50
    (told,) = said
    assert told.startswith(f"The scheduler at {empty.scheduler_address} has no workers.")


def test_a_folder_that_is_named_like_a_model_does_not_stand_for_it(
    client: Any, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nuclei-fast").mkdir()
    monkeypatch.chdir(tmp_path)
    detector = load_detector("nuclei-fast", device="cpu")
    compute = compute_on(client, model="nuclei-fast", device="cpu", threads=1)
    steps = iter_slide(slide, detector, out=tmp_path / "out", compute=compute)
    next(steps)
    next(steps)  # a worker computed a block
    steps.close()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6"])
def test_what_answers_unlike_a_scheduler_is_named(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as client:
                client.sendall(answer)
                while client.recv(1024):
                    pass

        thread = Thread(target=serve)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"No dask scheduler answers at {address}"):
            connected(address).__enter__()
        thread.join()


def test_a_scheduler_with_tls_needs_certificates() -> None:
    said = "asks for TLS, and dask knows no certificates"
    with pytest.raises(ConfigError, match=said), connected("tls://127.0.0.1:1"):
        pass


@pytest.mark.parametrize("where", [{}, {"scheduler": "tcp://127.0.0.1:1", "local": 2}])
def test_one_place_to_compute_is_needed(where: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--scheduler ADDRESS"), connected(**where):
        pass
