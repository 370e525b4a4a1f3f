"""Files on disk that are whole or absent, and what names them without naming anybody."""
