"""Talk with a PACS: a listener that scores what arrives, and a client for DIMSE and DICOMweb."""
