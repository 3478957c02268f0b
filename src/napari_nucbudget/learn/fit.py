"""The one training loop: every method goes through it."""

from __future__ import annotations

import copy
import datetime
import hashlib
import json
import logging
import math
import platform
import time
from collections.abc import Generator
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_nucbudget.errors import ModelError, OutputError, TrainingError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.label_hashes import arrangement, content_hash
from napari_nucbudget.learn.checkpoint import STATE_FILE, load_state, save_state
from napari_nucbudget.learn.leaks import refuse_leak
from napari_nucbudget.learn.methods import METHODS
from napari_nucbudget.models.bundle import CARD_FILE, Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.device import autocast, choose_device, choose_precision
from napari_nucbudget.types.card import ModelCard, TrainingData, check_model_name
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import EpochReport, TrainConfig, TrainingRun

__all__ = ["fit", "training_data"]

log = logging.getLogger(__name__)

CONFIG_FILE = "config.json"


def fit(
    train: LabelSet,
    validation: LabelSet,
    config: TrainConfig,
    *,
    out: Path,
    name: str | None = None,
    parent: Detector | Classifier | None = None,
    device: str = "auto",
    resume: bool = False,
) -> Generator[EpochReport, None, TrainingRun]:
    """Train, yielding a report after every epoch and returning the finished run.

    The best weights so far lie in `out` as a usable model after every epoch;
    closing the generator early therefore loses nothing. Crops, turns, jitter
    and dropout of step s follow from (seed, s) alone, so that a resumed run
    draws what an uninterrupted one would have drawn. A loss or gradient that is
    not a number ends training before it reaches the weights.

    Parameters
    ----------
    train, validation : LabelSet
        No image may be in both. Classifiers can do without validation images:
        then the schedule is fixed and the last weights are kept.
    config : TrainConfig
    out : Path
        Folder for the model and the run's state; must not hold a model unless `resume`.
    name : str, optional
        The model's name, default the folder's.
    parent : Detector or Classifier, optional
        Start from its weights.
    device : str
    resume : bool
        Go on with the run in `out`.

    Raises
    ------
    TrainingError
        Where the splits share an image or the loss is not a number at once.
    OutputError
        Where `out` holds a run already, or cannot be written.
    """
    out = Path(out)
    refuse_leak(train, validation)
    if not resume and ((out / CARD_FILE).exists() or (out / STATE_FILE).exists()):
        way = ", or --resume to go on with it" if (out / STATE_FILE).exists() else ""
        raise OutputError(f"{out} holds a run already. Give another folder{way}.")
    if config.threads:
        torch.set_num_threads(config.threads)
    name = check_model_name(name or out.resolve().name)
    method = METHODS[config.method](train, validation, config, parent)
    settings: TrainConfig = method.config
    if settings.find_steps and not hasattr(method, "finding"):
        raise TrainingError(
            f"find_steps is for window-cnn, and the method here is {settings.method!r}; leave it "
            "away."
        )
    target = choose_device(device)
    settings_text = json.dumps(config.to_dict(), indent=1) + "\n"
    if not resume:  # a run's own settings stay until it is known that these are the same
        write_atomically(out / CONFIG_FILE, settings_text.encode())
    dtype = choose_precision(settings.precision, target, training=True)
    torch.manual_seed(settings.seed)
    network = method.network().to(target).to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(network).eval()
    optimiser = _optimiser(method.parameter_groups(network), settings)
    reports: list[EpochReport] = []
    card_facts = _card_facts(train, validation, settings, name, parent)
    identity = {
        "config": config.to_dict(),
        "images": {
            "training": _identity(train, card_facts["training_data"]),
            "validation": _identity(validation, card_facts["validation_data"]),
        },
        "parent": parent.card.weights_sha256 if parent else "",
    }
    first, best_epoch, best_score = 0, -1, -math.inf
    if resume:
        facts = load_state(
            out, network=network, average=average, optimiser=optimiser, identity=identity
        )
        write_atomically(out / CONFIG_FILE, settings_text.encode())
        reports = [EpochReport(**r) for r in facts["reports"]]
        first = facts["step"]
        best_epoch, best_score = facts["best_epoch"], facts["best_score"]
        if reports and reports[-1].is_best and not _is_kept(out, reports):  # it was cut off between
            _keep_best(method, average, card_facts, reports, out)
    started = time.monotonic() - (reports[-1].seconds if reports else 0.0)
    sums: dict[str, float] = {}
    counted = 0
    stopped = "steps"
    if reports and reports[-1].epoch - best_epoch >= settings.patience:
        stopped, first = "patience", settings.steps  # it had ended
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, settings) * group.get("scale", 1.0)
        if settings.find_steps:
            method.finding = step < settings.find_steps
        batch = method.batch(np.random.default_rng([settings.seed, step]))
        torch.manual_seed(_draw_seed(settings.seed, step))
        optimiser.zero_grad(set_to_none=True)
        with autocast(target, dtype):
            terms = method.loss(network, batch, target)
        total = terms["total"]
        if not math.isfinite(total.item()):
            stopped = _diverged("loss", step, total.item())
            break
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        if not math.isfinite(norm.item()):
            stopped = _diverged("gradient", step, norm.item())
            break
        optimiser.step()
        _follow(average, network, min(settings.ema, (step + 1) / (step + 10)))
        for key, value in terms.items():
            sums[key] = sums.get(key, 0.0) + value.item()
        counted += 1
        if (step + 1) % settings.steps_per_epoch and step + 1 < settings.steps:
            continue

        epoch = len(reports)
        score, parts = method.validate(average)
        if score is None:  # nothing to choose by: the later, the better
            score = float(epoch + 1)
        if math.isnan(score):
            stopped = _diverged("output of the network", step, score)
            break
        is_best = score > best_score
        if is_best:
            best_epoch, best_score = epoch, score
        report = EpochReport(
            epoch=epoch,
            step=step + 1,
            steps=settings.steps,
            loss={key: value / counted for key, value in sums.items()},
            validation=parts,
            score=score,
            best_epoch=best_epoch,
            seconds=time.monotonic() - started,
            is_best=is_best,
        )
        reports.append(report)
        sums, counted = {}, 0
        save_state(
            out,
            network=network,
            average=average,
            optimiser=optimiser,
            facts={
                **identity,
                "reports": [asdict(r) for r in reports],
                "step": step + 1,
                "best_epoch": best_epoch,
                "best_score": best_score,
            },
        )
        if is_best:
            _keep_best(method, average, card_facts, reports, out)
        yield report
        if epoch - best_epoch >= settings.patience:
            stopped = "patience"
            break

    if not (out / CARD_FILE).exists():
        raise TrainingError(
            f"Loss or gradient was not a number before the first epoch ended (step {step}). "
            f"Lower learning_rate (now {settings.learning_rate:g})."
        )
    final = method.finish(method.load(out, device=device))
    card = final.card.model_copy(update={"curve": _curve(reports)})
    replace(final, card=card).save(out, overwrite=True)
    return TrainingRun(out, config, tuple(reports), stopped)


def _keep_best(
    method: Any,
    average: torch.nn.Module,
    card_facts: dict[str, Any],
    reports: list[EpochReport],
    out: Path,
) -> None:
    """The weights as a usable model; the run's state comes first, so that it can go on."""
    model = method.bundle(average)
    facts = {**card_facts, "curve": _curve(reports)}
    if "threshold" in reports[-1].validation:
        facts["threshold"] = reports[-1].validation["threshold"]
    card = model.card.model_copy(update=facts)
    replace(model, card=card).save(out, overwrite=True)


def _is_kept(out: Path, reports: list[EpochReport]) -> bool:
    """Whether the model in `out` is of the last report, or was finished after it."""
    try:
        return len(ModelCard.load(out / CARD_FILE).curve) >= len(reports)
    except ModelError:
        return False


def _optimiser(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    """Optimiser of a method's parameter groups; each may have a `scale` of the rate."""
    if config.recipe == "paper":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def _draw_seed(seed: int, step: int) -> int:
    """Seed of what the network itself draws in a step (dropout), so that resuming repeats it."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0])


def _diverged(what: str, step: int, value: float) -> str:
    log.warning("The %s at step %d is %s; training stops.", what, step, value)
    return "nan"


def _rate(step: int, config: TrainConfig) -> float:
    """Linear rise, then half a cosine down to nothing; constant for the paper's recipe."""
    if config.recipe == "paper":
        return config.learning_rate
    steps = config.find_steps
    if step >= steps:  # the last part, mostly the only one
        step, steps = step - steps, config.steps - steps
    rise = config.warmup * steps
    if step < rise:
        return config.learning_rate * (step + 1) / (rise + 1)
    done = (step - rise) / max(1.0, steps - rise)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _follow(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """Move the running mean of the weights (and of the statistics) towards the network."""
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for mean, value in pairs:
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _identity(labels: LabelSet, data: list[TrainingData]) -> str:
    """Hash of all of a label set that training depends on; `data` has that of pixels and dots."""
    whole = [[entry.sha256 for entry in data], arrangement(labels)]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def training_data(labels: LabelSet) -> list[TrainingData]:
    """What a card says about images: one entry per data set and split, with hashes."""
    entries = []
    for key in sorted({(i.dataset, i.split, i.folder) for i in labels}):
        images = [i for i in labels if (i.dataset, i.split, i.folder) == key]
        source = images[0].origin
        entries.append(
            TrainingData(
                name=key[0],
                split=key[1],
                images=len(images),
                nuclei=sum(len(i.nuclei) for i in images),
                sha256=content_hash(images),
                licence=source.licence if source else "unknown",
                cite=source.cite if source else "",
            )
        )
    return entries


def _card_facts(
    train: LabelSet,
    validation: LabelSet,
    config: TrainConfig,
    name: str,
    parent: Detector | Classifier | None,
) -> dict[str, Any]:
    seen = training_data(train)
    software = {"python": platform.python_version(), "torch": torch.__version__}
    try:
        software["napari-nucbudget"] = version("napari-nucbudget")
    except PackageNotFoundError:
        software["napari-nucbudget"] = "unknown"
    return {
        "name": name,
        "training_data": seen,
        "validation_data": training_data(validation),
        "split": "as given by the split column of images.csv; no image or known patient in two",
        "config": config.to_dict(),
        "licence": "; ".join(sorted({f"{d.name}: {d.licence}" for d in seen})),
        "citation": "Jacobs et al., Detecting and Classifying Nuclei on a Budget, LABELS 2017",
        "parent": parent.card.name if parent else None,
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "software": software,
    }


def _curve(reports: list[EpochReport]) -> list[dict[str, float]]:
    return [
        {
            "step": float(r.step),
            "loss": round(r.loss.get("total", math.nan), 6),
            "score": round(r.score, 4),
            "seconds": round(r.seconds, 1),
        }
        for r in reports
    ]
