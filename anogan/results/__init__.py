"""The folder of results: written, read and drawn; as DICOM objects below `dicom`."""
