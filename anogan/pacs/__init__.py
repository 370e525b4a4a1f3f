"""Talk with a PACS: a listener that scores what arrives, and a client for DIMSE and DICOMweb."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anogan.pacs.nodes import Node
    from anogan.pacs.settings import Settings

__all__ = ["open_node"]


def open_node(settings: Settings, name: str) -> Node:
    """Return the node of that name.

    Raises
    ------
    ValueError
        The settings have no such node.
    """
    node = settings.node(name)
    if node.url:
        from anogan.pacs.web import WebNode

        return WebNode(name, node, settings.tls)
    from anogan.pacs.dimse import DimseNode

    return DimseNode(name, node, settings)
