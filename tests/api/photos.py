"""What schemathesis puts into the form: photos of all kinds that the API says it takes."""

import io

import numpy as np
import schemathesis
from hypothesis import strategies
from PIL import Image


def _photo(values: tuple[int, int, int, str]) -> bytes:
    gray, height, width, kind = values
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width), gray, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


for _kind in ("png", "jpeg", "tiff"):
    _side = strategies.integers(4, 40)  # smaller ones are not scored, and have no heat map
    _values = strategies.tuples(strategies.integers(0, 255), _side, _side, strategies.just(_kind.upper()))
    schemathesis.openapi.media_type(f"image/{_kind}", _values.map(_photo))
