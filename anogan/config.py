"""Settings: frozen, validated, TOML in and TOML out.

A *profile* is one TOML file. A scan and an ID photo differ by their profile, never by their code path.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from anogan.storage.documents import toml_table

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses at which nobody but this machine is answered: where every server of ours listens unless told otherwise."""


class Section(BaseModel):
    """A frozen table of settings; an unknown key is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class InputConfig(Section):
    """What the network sees."""

    channels: Literal[1, 3] = 1
    size: int = Field(
        64,
        ge=32,
        le=512,
        description="side of the network's grid in pixels: a multiple of 16, from 128 of 32, from 256"
        " of 64, at 512 of 128",
    )
    intensity: Literal["range", "percentile"] = Field(
        "range",
        description="range: the reader's [0, 1] as it is; percentile: each image's 0.5 and 95th percentile become 0 and"
        " 0.75, so that a bright lesion of up to a twentieth of the image neither sets the scale nor is clipped",
    )
    align: Literal["none", "face"] = Field(
        "none",
        description="none: the whole image is seen; face: the one face in it, upright, see anogan.faces.detection",
    )
    noise: bool = Field(
        False,
        description="whether the noise of the scan as it came, at its own resolution, is judged too, see"
        " anogan.detector.noise; it must be in color",
    )
    window: str | tuple[float, float] = Field(
        "first",
        description="which window makes gray DICOM values black and white: first, the name of one in the header"
        " (WindowCenterWidthExplanation), or [center, width] in the values' own units, such as Hounsfield's",
    )

    @field_validator("window", mode="before")
    @classmethod
    def _is_window(cls, window: object) -> object:
        if isinstance(window, str) and window.strip():
            return window.strip()
        if isinstance(window, list | tuple) and len(window) == 2 and all(type(end) in (int, float) for end in window):
            center, width = float(window[0]), float(window[1])
            if abs(center) < 1e12 and 0 < width < 1e12:
                return center, width
        raise ValueError("must be first, the name of a window, or [center, width] with a width above 0")

    @field_validator("size")
    @classmethod
    def _divides(cls, size: int) -> int:
        # What anogan.gan.networks.stem_stride halves: the stem, and three more times.
        step = next(step for least, step in ((512, 128), (256, 64), (128, 32), (32, 16)) if size >= least)
        if size % step:
            raise ValueError(f"must be a multiple of {step} at this size")
        return size


class AugmentationConfig(Section):
    """Which changes leave a normal image normal. Anatomy decides, so a profile says it."""

    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotate: bool = Field(False, description="turn by multiples of 90 degrees")
    color: float = Field(0.0, ge=0, le=1, description="largest change of each color channel: stains, lamps, cameras")
    shift: float = Field(0.06, ge=0, le=0.5, description="largest shift, as a fraction of the side")
    brightness: float = Field(0.1, ge=0, le=1, description="largest change of brightness, in units of [-1, 1]")
    contrast: float = Field(0.1, ge=0, le=1, description="largest relative change of contrast")
    cutout: float = Field(0.25, ge=0, le=0.5, description="side of the square cut out for the adversarial loss")


class NetworkConfig(Section):
    """Sizes of generator, discriminator and encoder."""

    latent: int = Field(96, ge=2, le=1024)
    width: int = Field(48, ge=8, le=512, description="channels of the finest grid; deeper stages double it")


class TrainingConfig(Section):
    """The two loops: generator against discriminator, then encoder and generator."""

    steps: int = Field(3000, ge=1, description="at most: a phase that gets nowhere ends earlier")
    epochs: int = Field(
        500, ge=1, description="passes of the first phase, at most, by batches: few images are soon known by heart"
    )
    encoder_steps: int = Field(400, ge=1, description="at most")
    batch: int = Field(16, ge=2, description="small: the places are learned by many steps")
    learning_rate: float = Field(1e-3, gt=0)
    adversarial_every: int = Field(
        16, ge=1, description="steps between two adversarial updates; places are taught at every step"
    )
    adversarial_rate: float = Field(
        0.25, gt=0, le=1, description="the discriminator's learning rate in the game, as a share: at 1 it wins outright"
    )
    generated_places: float = Field(0.2, ge=0, description="weight of the pixel loss on generated images and CutMix")
    penalty: float = Field(
        10.0,
        ge=0,
        description="weight (gamma) of R1 and R2: with few images and few updates at 1 the generator can die",
    )
    ema: float = Field(0.995, ge=0, lt=1, description="decay of the averaged weights")
    snapshot_every: int = Field(200, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    holdout: float = Field(
        0.1, gt=0, lt=0.5, description="share of training subjects kept back to standardise and fuse"
    )
    seed: int = Field(0, ge=0)


class LocalFakesConfig(Section):
    """Synthetic local anomalies that teach the discriminator to judge places."""

    smallest: float = Field(0.06, gt=0, lt=1, description="smallest blob diameter, as a fraction of the side")
    largest: float = Field(0.5, gt=0, le=1)
    layers: int = Field(3, ge=1, le=8, description="blobs per image: one always, each further one with probability 1/2")
    diffuse: float = Field(0.25, ge=0, le=1, description="share of fakes that are diffuse: haze, shading, lost texture")
    visible: float = Field(
        0.3, ge=0, le=2, description="smaller changes, in units of [-1, 1], count as normal variation"
    )
    cut_out: bool = Field(
        False, description="objects were cut out on black: fakes leave the outline alone, which the cutting drew"
    )
    weight: float = Field(1.0, ge=0, description="weight of the per-pixel loss against the adversarial one")


class InversionConfig(Section):
    """Encoder guess, then optional refinement of the latent by gradient descent."""

    steps: int = Field(0, ge=0, le=500, description="0 leaves the encoder's guess as it is")
    restarts: int = Field(1, ge=1, le=32)
    learning_rate: float = Field(0.05, gt=0)
    patience: int = Field(5, ge=1, description="steps without progress before an image stops early")


class ScoringConfig(Section):
    """From component maps to one number."""

    top: float = Field(
        0.001, gt=0, le=1, description="share of the fused map whose mean is the focal part of the image score"
    )
    bank: int = Field(3000, ge=10, description="patches kept in the coreset of healthy features")
    through_planes: float = Field(
        2.0, ge=0, le=20, description="mm: standard deviation of the Gaussian that smooths maps from slice to slice"
    )
    top_slices: float = Field(
        0.05, gt=0, le=1, description="share of a series' slices: the mean of the highest is its score"
    )


class GateConfig(Section):
    """What is scored at all; by default everything. What a header does not say is never a reason to refuse."""

    modalities: tuple[str, ...] = Field((), description="DICOM Modality, such as MR; none named: any")
    body_parts: tuple[str, ...] = Field((), description="DICOM BodyPartExamined, such as HEAD; none named: any")
    views: tuple[str, ...] = Field((), description="DICOM ViewPosition, such as PA; none named: any")
    planes: tuple[Literal["axial", "coronal", "sagittal"], ...] = Field(
        (), description="the nearest plane of the patient in which a slice lies; none named: any"
    )
    least_slices: int = Field(1, ge=1, description="of a series")
    largest_clipped: float = Field(
        1.0, gt=0, le=1, description="share of the pixels that the window may make black or white"
    )
    burned_in: Literal["accept", "header", "pixels"] = Field(
        "accept",
        description="text burnt into the image: accept; header: refuse what the header says holds it; pixels: also what"
        " looks like it, unless the header says that it holds none",
    )
    smallest_side: int = Field(1, ge=1, description="pixels")


QualityMeasure = Literal[
    "inter_eye_distance",
    "sharpness",
    "exposure",
    "illumination_uniformity",
    "background_uniformity",
    "compression",
    "pose_yaw",
    "pose_pitch",
    "pose_roll",
]


class QualityConfig(Section):
    """The least quality of an image of a face, see `anogan.faces.quality`; by default any. Higher is better."""

    inter_eye_distance: float = Field(0, ge=0, description="pixels")
    sharpness: float = Field(0, ge=0, description="share of the face's contrast that is fine detail")
    exposure: float = Field(0, ge=0, le=1, description="share of the face that is neither almost black nor white")
    illumination_uniformity: float = Field(0, ge=0, le=1, description="likeness of the two halves of the face")
    background_uniformity: float = Field(0, ge=0, le=1, description="1: one color beside the head")
    compression: float = Field(0, ge=0, le=1, description="1: no edges where the blocks of a JPEG meet")
    pose_yaw: float = Field(0, ge=0, le=1, description="cosine of the turn to a side")
    pose_pitch: float = Field(0, ge=0, le=1, description="cosine of the nod")
    pose_roll: float = Field(0, ge=0, le=1, description="cosine of the tilt to a shoulder")
    refuse: tuple[QualityMeasure, ...] = Field(
        (), description="below these an image is not scored, as judging it means nothing; below others it is only noted"
    )


class CalibrationConfig(Section):
    """The operating point."""

    false_alarm_rate: float = Field(0.05, gt=0, lt=1)


class Config(Section):
    """All settings of one detector."""

    name: str = "custom"
    description: str = ""
    gate: GateConfig = GateConfig()
    input: InputConfig = InputConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    local_fakes: LocalFakesConfig = LocalFakesConfig()
    inversion: InversionConfig = InversionConfig()
    scoring: ScoringConfig = ScoringConfig()
    quality: QualityConfig = QualityConfig()
    calibration: CalibrationConfig = CalibrationConfig()

    def to_toml(self) -> str:
        """Return these settings as a TOML text that `load_config` reads back unchanged."""
        return tomli_w.dumps(self.model_dump())


def profile_names() -> list[str]:
    """Return the names of the profiles that come with the package, sorted."""
    folder = resources.files("anogan") / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_config(profile: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Config:
    """Read a profile and apply `section.key=value` overrides.

    Parameters
    ----------
    profile
        The name of a profile of the package ("blood-smear") or the path of a TOML file.
    overrides
        Settings such as "training.steps=500"; the value is read as TOML, else taken as text.

    Raises
    ------
    ValueError
        The profile is unknown, is not TOML, or a setting is unknown or out of range.
    """
    settings = _read_profile(profile)
    for override in overrides:
        _apply(settings, override)
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        found = error.errors()[0]["input"]
        raise ValueError(f"profile {os.fspath(profile)}: {first_fault(error)}, got {found!r}") from None


def first_fault(error: ValidationError) -> str:
    """Return what is wrong with the first setting at fault, after its key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _read_profile(profile: str | os.PathLike[str]) -> dict[str, Any]:
    path = Path(profile)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ValueError(f"profile {path}: there is no such file")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"profile {path}: is not text in UTF-8; save it as such") from None
    elif (known := resources.files("anogan") / "profiles" / f"{profile}.toml").is_file():
        text = known.read_text(encoding="utf-8")
    else:
        raise ValueError(f"profile {profile}: unknown; give a .toml file or one of {', '.join(profile_names())}")
    try:
        return toml_table(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"profile {path}: not valid TOML: {error}") from None


def _apply(settings: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *sections, last = key.strip().split(".")
    if not separator or not last:
        raise ValueError(f"setting {override!r}: expected section.key=value, for example training.steps=500")
    table = settings
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ValueError(f"setting {override!r}: {section} is a value, not a section")
    try:
        table[last] = toml_table(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = text.strip()
