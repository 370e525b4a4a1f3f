"""Attacks on ID photos, for evaluation only: made from test people, never seen by training or tuning.

    python benchmarks/attacks.py FOLDER --seed 0         # a minute; images, and a manifest.csv that `anogan` reads

Genuine portraits and attacks get the same treatment, so that nothing but the attack tells them apart: every pixel was
fetched once from the studio photo (genuine portraits through a slight random bend), the picture is reduced to 560
pixels and encoded as JPEG of a random quality, drawn alike. Nothing depends on anything but the seed.

Genuine photos and landmarks: Face Research Lab London Set (102 people, neutral and smiling) and 40 others of
webmorphR.stim, CC BY 4.0. Web photos and StyleGAN faces keep the files they came in, which are of one codec for both.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from datasets import DATA
from warps import (
    EYES,
    EYES_AND_BROWS,
    JAW,
    MOUTH,
    NOSE,
    bent_points,
    face_mask,
    fetch,
    hull,
    match_color,
    random_bend,
    similarity,
    warp,
)

STUDIO, OTHER_STUDIO, WEB = "studio", "other studio", "web"
TEST_PEOPLE, CALIBRATION_PEOPLE = 30, 21  # of 102; the others train, with the 40 of another studio
TEST_WEB, CALIBRATION_WEB = 150, 100  # of 700
PER_PERSON = 2  # attacks of each species on each test person, with two other test people,
ALIKE = 8  # drawn from those of the most similar skin, as an attacker would choose
LONG_SIDE = 560
COLUMNS = ("file", "label", "split", "subject", "site", "species")
LANDMARK_SCALE = 640 / 1350  # landmarks are in pixels of the originals


@dataclass(frozen=True, eq=False)
class Portrait:
    """A studio photo, (H, W, 3) float32 in [0, 1], with its landmarks (189, 2), x and y in pixels."""

    subject: str
    pixels: np.ndarray
    points: np.ndarray


# Species


def genuine(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return fetch(image, random_bend(image.shape, rng))


def _bent(host: Portrait, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    bend = random_bend(host.pixels.shape, rng)
    return fetch(host.pixels, bend), bent_points(host.points, bend)


def global_morph(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """Two portraits, eyes on eyes, averaged."""
    image, points = _bent(host, rng)
    other = fetch(donor.pixels, similarity(image.shape, donor.points, points))
    return (image + other) / 2


def complete_morph(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """Both warped, hair and background too, to the mean of their landmarks, and averaged."""
    target = (host.points + donor.points) / 2
    parts = [fetch(one.pixels, warp(one.pixels.shape, one.points, target)) for one in (host, donor)]
    return (parts[0] + parts[1]) / 2


def _face_onto(host: Portrait, donor: Portrait, share: float, rng: np.random.Generator) -> np.ndarray:
    image, points = _bent(host, rng)
    mask = face_mask(image.shape, points)
    other = match_color(fetch(donor.pixels, warp(image.shape, donor.points, points)), image, mask)
    return image + share * mask * (other - image)


def combined_morph(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """The faces averaged in the geometry of one, which keeps its hair and background (Neubert et al., IWBF 2018)."""
    return _face_onto(host, donor, 0.5, rng)


def swap(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """The face of another person in one's head."""
    return _face_onto(host, donor, 1.0, rng)


def splice(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """Eyes, nose or mouth of another person."""
    image, points = _bent(host, rng)
    part, grow = [(EYES_AND_BROWS, 1.25), (NOSE, 1.3), (MOUTH, 1.4)][rng.integers(3)]
    mask = hull(image.shape, points[part], grow, 4)
    other = match_color(fetch(donor.pixels, warp(image.shape, donor.points, points)), image, mask)
    return image + mask * (other - image)


def inpaint(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """Four to seven spots of the face filled in from around them, as moles and scars are removed."""
    image, points = _bent(host, rng)
    spots = np.zeros(image.shape[:2], np.uint8)
    inside = np.argwhere(face_mask(image.shape, points)[..., 0] > 0.95)
    for row, column in inside[rng.integers(len(inside), size=rng.integers(4, 8))]:
        axes = rng.integers(5, 12, 2).tolist()
        cv2.ellipse(spots, (int(column), int(row)), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    filled = cv2.inpaint((image * 255).round().astype(np.uint8), spots, 4, cv2.INPAINT_TELEA).astype(np.float32) / 255
    return np.where(spots[..., None] > 0, filled, image)


def smoothing(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """Skin smoothed as beauty filters do, edges kept."""
    image, points = _bent(host, rng)
    smooth = cv2.bilateralFilter(image, 11, float(rng.uniform(0.06, 0.12)), 5)
    return image + face_mask(image.shape, points) * (smooth - image)


def _print(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Halftone dots, paper and ink, a camera's blur, another JPEG."""
    fine = cv2.resize(image ** np.float32(rng.uniform(0.85, 1.2)), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[: fine.shape[0], : fine.shape[1]].astype(np.float32)
    step, dots = 2 * np.pi / rng.uniform(3.5, 5.5), np.empty_like(fine)  # of the dots, in half pixels
    for channel, angle in enumerate(np.deg2rad([15, 75, 0]) + rng.uniform(-0.05, 0.05)):
        x, y = (float(step * turn(angle)) for turn in (np.cos, np.sin))
        screen = 0.5 + 0.25 * (np.cos(x * columns + y * rows) + np.cos(x * rows - y * columns))
        dots[..., channel] = 1 / (1 + np.exp(-(fine[..., channel] - screen) * 12))
    inked = fine + rng.uniform(0.3, 0.6) * (dots - fine)
    captured = cv2.GaussianBlur(inked, (0, 0), rng.uniform(1.4, 2.2))
    captured = cv2.resize(captured, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    paper, ink = np.array([0.96, 0.94, 0.9]) + rng.uniform(-0.03, 0.03, 3), rng.uniform(0.05, 0.12)
    return _camera(ink + captured * (paper - ink), rng)


def _screen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stripes of the screen's pixels beating with the camera's, a cool cast, glare, blur, another JPEG."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    shown = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 1.1)) ** np.float32(rng.uniform(0.8, 1.1))
    angle, step, strength = rng.uniform(-0.06, 0.06), 2 * np.pi / rng.uniform(1.02, 1.5), rng.uniform(0.04, 0.1)
    x, y = (float(step * turn(angle)) for turn in (np.cos, np.sin))
    lines = 0.5 * np.cos(x * rows - y * columns)
    for channel, phase in enumerate((0.0, 2.1, 4.2)):
        beat = np.cos(x * columns + y * rows + phase) + lines
        shown[..., channel] *= 1 - strength * (0.75 + 0.5 * beat)
    glare = np.exp(
        -((rows / image.shape[0] - rng.uniform()) ** 2 + (columns / image.shape[1] - rng.uniform()) ** 2) * 6
    )
    cast = np.array([0.95, 0.98, 1.04]) + rng.uniform(-0.03, 0.03, 3)
    return _camera(0.03 + shown * cast * 0.95 + rng.uniform(0.02, 0.1) * glare[..., None], rng)


def _camera(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = image + rng.uniform(0.004, 0.012) * rng.standard_normal(image.shape, np.float32)
    return decode(encode(noisy.clip(0, 1), int(rng.integers(80, 93))))


def printed(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    return _print(_bent(host, rng)[0], rng)


def on_screen(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    return _screen(_bent(host, rng)[0], rng)


def morph_then_print(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    return _print(combined_morph(host, donor, rng), rng)


def occlusion(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """Sunglasses, a surgical mask, or something held before a part of the face."""
    image, points = _bent(host, rng)
    shape, kind = image.shape, rng.integers(3)
    reach = float(np.linalg.norm(points[0] - points[1]))
    if kind == 0:
        color, mask = rng.uniform(0.02, 0.15, 3), np.zeros((*shape[:2], 1), np.float32)
        for eye in points[list(EYES)]:
            lens = eye + reach * 0.36 * np.array([(np.cos(t), 0.75 * np.sin(t)) for t in np.linspace(0, 6.28, 30)])
            mask = np.maximum(mask, hull(shape, lens, 1, 1))
        mask = 0.95 * np.maximum(mask, hull(shape, points[[0, 1, 1, 0]] + [(0, -4), (0, -4), (0, 4), (0, 4)], 1, 1))
    elif kind == 1:
        color = np.array([0.65, 0.8, 0.88]) + rng.uniform(-0.1, 0.1, 3)
        rim = points[list(EYES)].mean(0) + reach * np.array([(-0.7, 0.5), (0, 0.35), (0.7, 0.5)])
        mask = hull(shape, np.concatenate([points[JAW], rim]), 1, 1)
    else:
        color = rng.uniform(0.1, 0.9, 3)
        center = points[list(EYES)].mean(0) + reach * rng.uniform((-0.6, -0.3), (0.6, 1.0))
        size, turn = reach * rng.uniform(0.35, 0.6, 2), rng.uniform(0, np.pi)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size
        mask = hull(shape, center + corners @ [(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))], 1, 1)
    shade = cv2.resize(rng.uniform(-0.06, 0.06, (8, 8)), shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    grain = 0.01 * rng.standard_normal(shape)
    return (image + mask * (color + shade + grain - image)).clip(0, 1).astype(np.float32)


def non_face(host: Portrait, donor: Portrait, rng: np.random.Generator) -> np.ndarray:
    """A page of text, a piece of clothing or wall close up, or a landscape of sorts."""
    height, width = host.pixels.shape[:2]
    kind = rng.integers(3)
    grain = 0.01 * rng.standard_normal(host.pixels.shape)
    if kind == 0:
        page = np.full((height, width, 3), rng.uniform(0.85, 0.97), np.float32)
        letters = [chr(c) for c in range(97, 123)] + [" "] * 6
        for y in range(40, height - 20, int(rng.integers(18, 34))):
            text = "".join(rng.choice(letters, rng.integers(20, 60)))
            cv2.putText(page, text, (30, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0.15,) * 3, 1, cv2.LINE_AA)
        image = page + grain
    elif kind == 1:
        top, left = (height * 0.8, width * 0.2) if rng.random() < 0.5 else (0, 0)
        side, edge = height * 0.18, np.array([left + rng.uniform(0, width * 0.2), top])
        rows, columns = np.mgrid[:height, :width]
        places = edge + np.dstack([columns, rows]) * (side / height)
        image = fetch(host.pixels, places.astype(np.float32)) + grain
    else:
        cells = [rng.uniform(0, 1, (n, n, 3)) for n in (3, 7, 20, 80)]
        layers = [cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in cells]
        image = np.average(layers, axis=0, weights=[5, 3, 1.5, 0.7]) + grain
    return image.clip(0, 1).astype(np.float32)


SPECIES: dict[str, Callable[[Portrait, Portrait, np.random.Generator], np.ndarray]] = {
    "splice": splice,
    "swap": swap,
    "inpaint": inpaint,
    "combined morph": combined_morph,
    "global morph": global_morph,
    "complete morph": complete_morph,
    "smoothing": smoothing,
    "print": printed,
    "screen": on_screen,
    "morph then print": morph_then_print,
    "occlusion": occlusion,
    "non-face": non_face,
}
STYLEGAN = "StyleGAN"


# Files


def read(path: Path) -> np.ndarray:
    """Read a photo, (H, W, 3) float32 in [0, 1], red first."""
    return decode(path.read_bytes())


def decode(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[..., ::-1]).astype(np.float32) / 255


def encode(image: np.ndarray, quality: int) -> bytes:
    eight = (image[..., ::-1] * 255).round().clip(0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", eight, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def finish(image: np.ndarray, rng: np.random.Generator) -> bytes:
    """Do what is done to every picture, genuine or not: reduce it, and encode it with a quality of 85 to 95."""
    scale = LONG_SIDE / max(image.shape)
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return encode(cv2.resize(image, size, interpolation=cv2.INTER_AREA), int(rng.integers(85, 96)))


def random(seed: int, *of: object) -> np.random.Generator:
    """Return the generator of one picture: it does not depend on which others are made."""
    return np.random.default_rng([seed, crc32(repr(of).encode())])


def split_people(seed: int) -> dict[str, str]:
    """Return the split of each of the 102 people, drawn with the seed."""
    people = sorted({path.stem.split("_")[2] for path in (DATA / "faces_frll" / "genuine").glob("neutral_*.jpg")})
    drawn = [str(person) for person in np.random.default_rng(seed).permutation(people)]
    bounds = [("test", TEST_PEOPLE), ("calibration", CALIBRATION_PEOPLE)]
    names = [name for name, count in bounds for _ in range(count)]
    return dict(zip(drawn, names + ["train"] * (len(drawn) - len(names)), strict=True))


def read_portrait(subject: str) -> Portrait:
    """Read the neutral portrait of one of the 102 people."""
    pixels = read(DATA / "faces_frll" / "genuine" / f"neutral_front_{subject}_03.jpg")
    lines = (DATA / "faces_frll" / "landmarks" / f"{subject}_03.tem").read_text(encoding="utf-8").splitlines()
    points = np.array([line.split()[:2] for line in lines[1 : 1 + int(lines[0])]], float) * LANDMARK_SCALE
    return Portrait(subject, pixels, points)


def _weights(portrait: Portrait) -> np.ndarray:
    return np.broadcast_to(face_mask(portrait.pixels.shape, portrait.points), portrait.pixels.shape)


def write(folder: Path, seed: int) -> None:
    """Write the images and their manifest; what is there already is taken for whole, as the manifest comes last."""
    if (folder / "manifest.csv").is_file():
        return
    rows: list[dict[str, str]] = []

    def add(name: str, split: str, subject: str, site: str, data: bytes, species: str = "") -> None:
        label = "abnormal" if species else "healthy"
        path = folder / label / f"{name.replace(' ', '-')}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        place = path.relative_to(folder).as_posix()
        cells = place, label, split, subject, site, species
        rows.append(dict(zip(COLUMNS, cells, strict=True)))

    split_of = split_people(seed)
    for path in sorted((DATA / "faces_frll" / "genuine").glob("*.jpg")):
        kind, *_, person = path.stem.removesuffix("_03").removesuffix("_08").split("_")
        own = kind != "canada"
        rng = random(seed, path.stem)
        split = split_of[person] if own else "train"
        subject = person if own else f"canada {person}"
        add(path.stem, split, subject, STUDIO if own else OTHER_STUDIO, finish(genuine(read(path), rng), rng))

    testers = sorted(person for person, split in split_of.items() if split == "test")
    portraits = [read_portrait(person) for person in testers]
    colors = np.array([np.average(p.pixels, axis=(0, 1), weights=_weights(p)) for p in portraits])
    distances = np.linalg.norm(colors[:, None] - colors, axis=2)
    alike = distances.argsort(axis=1, kind="stable")[:, 1 : 1 + ALIKE]
    for species, make in SPECIES.items():
        for k, host in enumerate(portraits):
            for donor in random(seed, species, "donors", host.subject).permutation(alike[k])[:PER_PERSON]:
                rng = random(seed, species, host.subject, portraits[donor].subject)
                name = f"{species} {host.subject} {portraits[donor].subject}"
                add(name, "test", host.subject, STUDIO, finish(make(host, portraits[donor], rng), rng), species)

    photos = sorted((DATA / "faces_stylegan" / "genuine").glob("*.jpg"))
    for k, index in enumerate(np.random.default_rng(seed).permutation(len(photos))):
        split = "test" if k < TEST_WEB else "calibration" if k < TEST_WEB + CALIBRATION_WEB else "train"
        stem = photos[index].stem
        add(f"web {stem}", split, f"web {stem}", WEB, photos[index].read_bytes())
    for path in sorted((DATA / "faces_stylegan" / "stylegan").glob("*.jpg")):
        add(f"stylegan {path.stem}", "test", f"stylegan {path.stem}", WEB, path.read_bytes(), STYLEGAN)

    temporary = folder / "manifest.csv.part"
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(folder / "manifest.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.folder, options.seed)


if __name__ == "__main__":
    main()
