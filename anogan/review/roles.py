"""Who may do what. Each transaction of the desk asks here; pages only hide what would be refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from anogan.review.cases import NotAllowed

Role = Literal["reader", "second reader", "admin", "auditor"]
Right = Literal["add", "see", "read", "arbitrate", "export", "administer", "audit"]
ROLES: tuple[Role, ...] = get_args(Role)

LOCAL = "local"
"""Who opens a desk without signing in. It may do everything while the desk has no members, then only add cases,
and take back screenings, as the server does on behalf of a key."""

_READER: frozenset[Right] = frozenset({"add", "see", "read", "export"})
RIGHTS: Mapping[str, frozenset[Right]] = MappingProxyType(
    {
        "reader": _READER,
        "second reader": _READER | {"arbitrate"},
        "admin": frozenset({"add", "see", "export", "administer"}),
        "auditor": frozenset({"see", "export", "audit"}),
        LOCAL: frozenset(get_args(Right)),
        "": frozenset({"add"}),
    }
)
"""Rights of each role; an admin decides no case, and an auditor changes nothing."""

_WORDS: Mapping[Right, str] = MappingProxyType(
    {
        "add": "add cases",
        "see": "see cases",
        "read": "read and sign cases",
        "arbitrate": "arbitrate",
        "export": "export",
        "administer": "administer the desk",
        "audit": "see the audit log",
    }
)


@dataclass(frozen=True)
class Reader:
    """A user and the role that the desk's list of members gives; "" for none."""

    user: str
    role: str

    def may(self, right: Right) -> bool:
        """Tell whether the role has the right."""
        return right in RIGHTS[self.role]

    def need(self, right: Right) -> None:
        """Raise NotAllowed without the right."""
        if self.may(right):
            return
        who = [role for role in ROLES if right in RIGHTS[role]]
        if self.user == LOCAL:
            raise NotAllowed(f"this desk has members, so you must sign in to {_WORDS[right]}")
        has = f"is {self.role}" if self.role else "is no member of this desk"
        raise NotAllowed(f"{self.user}: {has} and may not {_WORDS[right]}; that takes the role {' or '.join(who)}")
