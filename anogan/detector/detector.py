"""The detector: everything frozen together; a scan in, a result out."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anogan.config import Config
from anogan.data import gate, transforms
from anogan.data.dataset import LEAST_TRAIN, ScanSet
from anogan.data.prepare import prepared_or_error
from anogan.data.seen import Seen, looks
from anogan.detector import files, provenance
from anogan.detector.calibration import NOT_CALIBRATED, Calibration, Decision
from anogan.detector.components import in_fours, raw_maps
from anogan.detector.examples import nearest_images
from anogan.detector.fusion import COMPONENTS, NOISE, Fusion, Maps, component_scores
from anogan.detector.healthy_series import HealthySeries
from anogan.detector.native import NativeScale
from anogan.detector.reference import ROUNDED, Reference, refuse_uniform, rounded_otherwise
from anogan.detector.volume import score_series
from anogan.errors import code_of
from anogan.gan import training
from anogan.gan.local_fakes import DIFFUSE, LOCAL, local_fakes
from anogan.gan.losses import top_mean
from anogan.gan.networks import Networks
from anogan.gan.randomness import own_random_state
from anogan.scan import OnDemand, Result, Scan, Series, SeriesResult
from anogan.storage import checkpoint
from anogan.storage.pseudonym import key_name

LEAST_HELD_BACK = 2  # of the least training images
NOT_FOR_SERIES = Decision(None, None, "not calibrated for series: run `anogan calibrate RUN DATA --series` on them")


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained, frozen detector. `train` makes one, `calibrate` returns a new one with an operating point.

    Attributes
    ----------
    config
        The profile it was trained with.
    native
        The second scale, for profiles that judge the noise (`input.noise`), else None.
    calibration
        Operating point; None until `calibrate`.
    series_calibration
        That of whole series; None until `calibrate_series`.
    map_range
        (low, high): the fixed scale of all heat maps. Low is what 95 % of healthy images nowhere exceed, high what a
        typical local fake reaches.
    provenance
        Data hashes, counts, versions, seed, git revision, date.
    """

    config: Config
    networks: Networks
    reference: Reference
    fusion: Fusion
    map_range: tuple[float, float]
    provenance: dict[str, Any]
    native: NativeScale | None = None
    calibration: Calibration | None = None
    series_calibration: Calibration | None = None

    # Making one

    @classmethod
    def train(
        cls,
        train: ScanSet,
        config: Config,
        *,
        run: Path | None = None,
        resume: bool = False,
        callback: training.Callback | None = None,
        left_out: list[tuple[Path, str]] | None = None,
    ) -> Detector:
        """Train on healthy scans.

        Parameters
        ----------
        train
            Healthy scans. A share of their subjects (`training.holdout`) is kept back to standardize and to fuse.
        config
            The profile.
        run
            Folder for history, snapshots and the state a killed run resumes from; nothing is written without it.
        resume
            Go on from the state in `run`, if there is one.
        callback
            Told of every few steps.
        left_out
            Receives the file and the reason of each scan that cannot be read or that the profile does not accept.

        Raises
        ------
        ValueError
            A scan is labeled abnormal, there are too few usable ones, training diverged, or the state in `run`
            belongs to other settings or images.
        """
        if train.labels.any():
            raise ValueError(f"{train.name}: holds abnormal scans; training takes healthy ones only")
        key_name()  # what cannot say whose images it saw says so now, not after the training
        rest, holdout = train.split_by_subject(config.training.holdout, config.training.seed)
        if len(holdout) < LEAST_HELD_BACK:  # of few images, a tenth is one
            share = min(LEAST_HELD_BACK / len(set(train.subjects)), 0.5)
            rest, holdout = train.split_by_subject(share, config.training.seed)
        holdout = dataclasses.replace(holdout, name=f"{train.name}, held back")
        images, kept = rest.load_enough(config, LEAST_TRAIN - LEAST_HELD_BACK, left_out)
        held, kept_holdout = holdout.load_enough(config, LEAST_HELD_BACK, left_out)
        native = NativeScale.fit(rest.subset(kept), holdout.subset(kept_holdout)) if config.input.noise else None
        origin = provenance.describe(rest, kept, holdout, kept_holdout, config.training.seed) | looks(images, held)
        data = provenance.data_hash(origin["order"] + origin["held_files"])
        tensors = torch.from_numpy(images), torch.from_numpy(held)
        detector = cls.train_images(*tensors, config, run=run, resume=resume, callback=callback, data=data)
        return dataclasses.replace(detector, native=native, provenance=detector.provenance | origin)

    @classmethod
    def train_images(
        cls,
        images: Tensor,
        holdout: Tensor,
        config: Config,
        *,
        run: Path | None = None,
        resume: bool = False,
        callback: training.Callback | None = None,
        data: str = "",
    ) -> Detector:
        """Do what `train` does, with healthy images that are on the network's grid already.

        Parameters
        ----------
        images, holdout
            (N, C, S, S) and (M, C, S, S) in [-1, 1]; no subject is in both.
            `data` stands for them, as in `anogan.gan.training.train`.
        """
        refuse_uniform(images, "the training images")
        refuse_uniform(holdout, "the images held back")
        networks = training.train(images, holdout, config, run=run, resume=resume, callback=callback, data=data)
        if callback is not None:
            callback(training.TrainingEvent("reference", 0, 1, {}))
        detector = cls.fit(networks, images, holdout, config)
        if callback is not None:
            callback(training.TrainingEvent("reference", 1, 1, {}, 0.0))
        return detector

    @classmethod
    @own_random_state()
    def fit(cls, networks: Networks, images: Tensor, held: Tensor, config: Config) -> Detector:
        """Fit the reference to `images`, standardization and fusion to `held`; the networks stay as they are."""
        for network in vars(networks).values():
            network.cpu().eval()
        reference = Reference.learn(networks.discriminator, images, config)
        draft = cls(config, networks, reference, Fusion.even(), (0.0, 1.0), {})
        healthy = draft._raw(held)
        kinds = [*LOCAL, *DIFFUSE]
        proxies = [draft._raw(local_fakes(held, config.local_fakes, (kind,))[0]) for kind in kinds]
        rounded = draft._raw(rounded_otherwise(held[:ROUNDED]))
        fusion = Fusion.fit(healthy, rounded, proxies, config.scoring.top)
        normal, odd = (
            top_mean(fusion.fuse(fusion.standardize(maps)), fusion.top) for maps in (healthy, torch.cat(proxies))
        )
        low = float(normal.quantile(0.95))
        high = max(float(odd.median()), low + 3.0)
        weights = dict(zip(COMPONENTS, map(float, fusion.weights), strict=True))
        return dataclasses.replace(draft, fusion=fusion, map_range=(low, high), provenance={"fusion": weights})

    def calibrate(
        self,
        calibration: ScanSet,
        false_alarm_rate: float | None = None,
        *,
        confidence: float | None = None,
        group: str = "",
        left_out: list[tuple[Path, str]] | None = None,
    ) -> Detector:
        """Return this detector with an operating point from healthy scans untouched by training.

        Nothing else changes, so images of another site set a threshold for that site. `provenance["calibrations"]`
        lists what has calibrated, the last one last. The promise is that of `calibration.rank`, its rate the profile's
        unless given. `group` says what the scans' groups are, such as "scanner", and each is calibrated by itself; "":
        all together. `left_out` is as in `train`.

        Raises
        ------
        ValueError
            A scan is labeled abnormal, was seen in training, has no group, or they are too few or all alike.
        """
        if calibration.labels.any():
            raise ValueError(f"{calibration.name}: holds abnormal scans; calibration takes healthy ones only")
        images, kept = calibration.load_enough(self.config, 1, left_out)
        images, kept = Seen.of(self.provenance).unseen(calibration, images, kept, left_out)
        scans = calibration.subset(kept)
        origin = provenance.describe_calibration([item.path for item in scans], scans.subjects)
        provenance.refuse_reviewed(self.provenance, scans)
        rate = self.config.calibration.false_alarm_rate if false_alarm_rate is None else false_alarm_rate
        refuse_uniform(torch.from_numpy(images), "the calibration images")  # many copies promise no more than one
        maps = self.maps(torch.from_numpy(images))
        described = dict(zip(COMPONENTS, component_scores(maps.components).T.tolist(), strict=True))  # for `drift`
        scores = maps.scores.numpy()
        if self.native is not None:
            noise = self.native.scores(scans)
            scores, described[NOISE] = np.maximum(scores, noise), noise.tolist()
        groups = [item.group for item in scans] if group else None
        point = Calibration.fit(scores, rate, confidence, groups, group)
        history = [*self.provenance.get("calibrations", []), origin]
        noted = {"calibrations": history, "calibration_components": described}
        return dataclasses.replace(self, calibration=point, provenance=self.provenance | noted)

    def calibrate_series(
        self,
        healthy: Iterable[Series],
        false_alarm_rate: float | None = None,
        *,
        confidence: float | None = None,
        left_out: list[tuple[Path, str]] | None = None,
    ) -> Detector:
        """Return this detector with an operating point for whole series, from healthy ones untouched by training.

        Parameters
        ----------
        healthy
            One series of each subject; an iterator is read one by one, so that they need not fit into memory together.
        false_alarm_rate, confidence
            The promise, as in `calibrate`; it counts series.
        left_out
            Receives the source and the reason of each series that cannot be scored.

        Raises
        ------
        ValueError
            A subject has two series, a slice was seen in training, or too few series can be scored for the promise.
        """
        scored = HealthySeries.score(healthy, self.inspect_series, Seen.of(self.provenance), self.config.input)
        rate = self.config.calibration.false_alarm_rate if false_alarm_rate is None else false_alarm_rate
        if left_out is not None:
            left_out += scored.not_scored
        point = scored.calibrate(rate, confidence)
        noted = {"series_calibrations": [*self.provenance.get("series_calibrations", []), scored.describe()]}
        return dataclasses.replace(self, series_calibration=point, provenance=self.provenance | noted)

    # Using one

    def inspect(self, scan: Scan) -> Result:
        """Score one scan. What cannot be judged is "not scored", with the reason."""
        return next(self.inspect_many([scan], examples=True))

    def inspect_many(self, scans: Iterable[Scan], batch: int = 32, examples: bool = False) -> Iterator[Result]:
        """Score scans in their order, `batch` at a time; `examples` also finds what is `nearest`, which takes time."""
        iterator, order = iter(scans), self.provenance.get("order", []) if examples else []
        while chunk := list(itertools.islice(iterator, batch)):
            started = time.monotonic()
            prepared = [prepared_or_error(scan, self.config) for scan in chunk]
            good = [one[0] for one in prepared if not isinstance(one, ValueError)]
            images = torch.from_numpy(np.stack(good)) if good else None
            maps = None if images is None else self.maps(images)
            nearest = [] if images is None else nearest_images(images, self.networks, self.reference, order)
            seconds = (time.monotonic() - started) / len(chunk)
            index = 0
            for scan, one in zip(chunk, prepared, strict=True):
                if isinstance(one, ValueError):
                    yield Result(scan.source, "not scored", str(one), seconds=seconds, code=code_of(one))
                else:
                    assert maps is not None
                    result = self._result(scan, maps, index, seconds)
                    yield dataclasses.replace(result, notes=one[1], nearest=nearest[index])
                    index += 1

    def inspect_series(self, series: Series) -> SeriesResult:
        """Score a series as one volume, see `score_series`. What cannot be judged is "not scored", with the reason.

        The p-value and the decision are those of whole series; without a calibration on series there are none, and the
        reason says so. Single slices are not decided.
        """
        try:
            gate.check_series(series, self.config)
        except ValueError as error:
            return SeriesResult(series.source, "not scored", str(error), code=code_of(error))
        result = score_series(series, self.maps, self.config)
        if result.status != "scored":
            return result
        spreads = [spread for index in result.top if (spread := result.slices[index].uncertainty) is not None]
        point, spread = self.series_calibration, float(np.mean(spreads)) if spreads else None
        decision = NOT_FOR_SERIES if point is None else point.decide(result.score, spread=spread)
        reason = "; ".join(part for part in (decision.reason, result.reason) if part)
        return dataclasses.replace(result, **(decision._asdict() | {"reason": reason}))

    def _result(self, scan: Scan, maps: Maps, index: int, seconds: float) -> Result:
        score = float(maps.scores[index])
        if not np.isfinite(score):
            return Result(scan.source, "not scored", reason="its score is not finite", seconds=seconds)
        view = self.config.input
        alone = component_scores(maps.components[index : index + 1])[0].tolist()
        components = dict(zip(COMPONENTS, alone, strict=True))
        makers: dict[str, Callable[[], np.ndarray]] = {
            name: partial(transforms.to_scan_grid, maps.components[index, k].numpy().copy(), scan, view)
            for k, name in enumerate(COMPONENTS)
        }
        if self.native is not None:
            components[NOISE], noise = self.native.of(scan).judge(scan.pixels)
            makers[NOISE] = partial(np.copy, noise)
            score = max(score, components[NOISE])  # both are in healthy standard deviations
        spread = None if maps.spread is None else float(maps.spread[index])
        point = self.calibration
        decision = Decision(None, None, "") if point is None else point.decide(score, scan.group, spread)
        return Result(
            scan.source,
            "scored",
            score=score,
            **decision._asdict(),
            uncertainty=spread,
            anomaly_map=transforms.to_scan_grid(maps.fused[index].numpy(), scan, view),
            reconstruction=transforms.image_to_scan_grid(maps.reconstruction[index].numpy(), scan, view),
            components=components,
            component_maps=OnDemand(makers),
            seconds=seconds,
        )

    def maps(self, images: Tensor) -> Maps:
        """Compute all maps of images on the network's grid, (N, C, S, S) in [-1, 1]."""
        parts = []
        spreads = []
        for batch, count in in_fours(images):
            raw, reconstruction, spread = self._components(batch)
            components = self.fusion.standardize(raw)
            fused = self.fusion.fuse(components)
            found = components, fused, self.fusion.score(components, fused), reconstruction
            parts.append([one[:count] for one in found])
            if spread is not None:
                spreads.append(spread[:count])
        components, fused, scores, reconstruction = (torch.cat(part) for part in zip(*parts, strict=True))
        return Maps(components, fused, scores, reconstruction, torch.cat(spreads) if spreads else None)

    def _raw(self, images: Tensor) -> Tensor:
        return torch.cat([self._components(batch)[0][:count] for batch, count in in_fours(images)])

    def _components(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return raw_maps(x, self.networks, self.reference, self.fusion, self.config.inversion)

    # Keeping one

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `profile.toml`, `detector.safetensors` and `detector.json` into the run folder and return it.

        Raises
        ------
        ValueError
            The files could not be written; a detector that stood there before stands there still.
        """
        points = {"calibration": self.calibration, "series_calibration": self.series_calibration}
        described: dict[str, Any] = {"map_range": list(self.map_range), "provenance": self.provenance}
        described |= {name: None if point is None else point.to_json() for name, point in points.items()}
        files.write(Path(folder), self.config, self._tensors(), described)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Detector:
        """Read a run folder.

        Raises
        ------
        ValueError
            The folder is not a run folder, a file is missing, damaged or altered, or it is of a newer format.
        """
        return cls(**files.read(Path(folder)))

    def _tensors(self) -> dict[str, Tensor]:
        return files.pack(self.networks, self.reference, self.fusion, self.native)

    def summary(self, series: bool = False) -> dict[str, Any]:
        """Return what results say of the detector that made them; JSON-ready, no pixels, no names.

        `series` says whether the results are those of whole series, which have an operating point of their own.
        """
        point = self.series_calibration if series else self.calibration
        return {
            "name": self.config.name,
            "profile": self.config.description,
            "map_range": list(self.map_range),
            **(NOT_CALIBRATED if point is None else point.summary()),
            **({"unit": "series"} if series else {}),
            "version": self.provenance.get("versions", {}).get("anogan", ""),
            "trained": self.provenance.get("trained", ""),
            "hash": checkpoint.digest(self._tensors())[:16],
        }
