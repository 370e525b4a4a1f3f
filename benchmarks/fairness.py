"""Who is turned away: BPCER and failures to acquire by sex, ethnicity and skin luminance, on genuine photos.

    python benchmarks/fairness.py    # the detectors of id_photos.py, results/fairness.md; for a run: `anogan fairness`

It takes the genuine test photos of all three seeds, each judged by the detector of its seed, whose people took
no part in its training or calibration. GENUINE is a folder or a manifest.csv of such photos. In faces_frll the person
is the number in the file's name, so that neutral and smiling photos count as one person's; elsewhere it is what the
folder or the manifest says.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import id_photos

from anogan.evaluation.fairness import Photo, fairness, judge_genuine, table
from anogan.storage.checkpoint import write_text


def measured(seeds: Sequence[int]) -> str:
    """Return the table over the seeds of `id_photos.py`; a person whom several seeds test is one person."""
    photos: list[Photo] = []
    for seed in seeds:
        test = id_photos.images(seed).test
        genuine = test.subset(index for index, item in enumerate(test) if item.label == 0)
        photos += judge_genuine(id_photos.product(seed), genuine)
    return (
        "# Who is turned away\n\n"
        f"Genuine test photos of seeds {list(seeds)}, each by the detector of its seed, each site at its own\n"
        "threshold for 5 %; made by `python benchmarks/fairness.py`. Intervals are over people.\n\n"
        f"{table(fairness(photos))}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    text = measured(parser.parse_args().seeds)
    write_text(id_photos.RESULTS.parent / "fairness.md", text)
    print(text)


if __name__ == "__main__":
    main()
