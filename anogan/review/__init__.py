"""The review desk: cases, readers, decisions and the audit log, in SQLite or PostgreSQL. No pages."""

from anogan.review.arrivals import cases_of
from anogan.review.audit import Entry, Head, Verified
from anogan.review.cases import (
    KINDS,
    ORDERS,
    REASONS,
    STATES,
    Case,
    Conflict,
    Decision,
    Erased,
    NewCase,
    NotAllowed,
    Page,
    Policy,
    Query,
)
from anogan.review.desk import Desk, open_desk
from anogan.review.export import export
from anogan.review.roles import LOCAL, ROLES, Reader
from anogan.review.statistics import Agreement, Arrivals, Band, Day, Statistics, Times

__all__ = [
    "KINDS",
    "LOCAL",
    "ORDERS",
    "REASONS",
    "ROLES",
    "STATES",
    "Agreement",
    "Arrivals",
    "Band",
    "Case",
    "Conflict",
    "Day",
    "Decision",
    "Desk",
    "Entry",
    "Erased",
    "Head",
    "NewCase",
    "NotAllowed",
    "Page",
    "Policy",
    "Query",
    "Reader",
    "Statistics",
    "Times",
    "Verified",
    "cases_of",
    "export",
    "open_desk",
]
