"""Which other applications of its client a screening shares a photo, a face or a background with."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from anogan.api.tables import KeyRow, ScreeningRow
from anogan.linkage import Link

MOST = 20  # links that are kept of a screening, the nearest; its reasons count all
_BATCH = 500


def in_other_applications(session: Session, links: Sequence[Link], key: str, reference: str) -> list[Link]:
    """Return one link, the nearest, for each thing that another application shares.

    Screenings with one reference are of one application: what an applicant sends again links to nothing of his or her
    own. A screening without a reference is an application by itself. Applications of other clients are left
    out.

    Parameters
    ----------
    session
        Of the API's database; a link to what is not in it is left out.
    links
        The nearest first, to screenings by their id.
    key, reference
        Those of the screening itself; the reference may be "".
    """
    references: dict[str, str] = {}
    client = select(KeyRow.name).where(KeyRow.id == key).scalar_subquery()
    own = select(ScreeningRow.id, ScreeningRow.reference).join(KeyRow).where(KeyRow.name == client)
    ids = sorted({link.other for link in links})
    for start in range(0, len(ids), _BATCH):
        known = session.execute(own.where(ScreeningRow.id.in_(ids[start : start + _BATCH])))
        references |= {row.id: row.reference for row in known}
    found: dict[tuple[str, str, str], Link] = {}
    for link in links:
        if (other := references.get(link.other)) is None or (other and other == reference):
            continue
        found.setdefault((link.what, other, "" if other else link.other), link)
    return list(found.values())
