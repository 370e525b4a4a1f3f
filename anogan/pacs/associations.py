"""What a malformed request or command costs: its association and one line in the log, nobody's thread, place or file.

pynetdicom lets most errors in its state machine and in the negotiation end a thread. Then nobody answers, the
association counts as open, and what it has sent stays where objects arrive.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

from pynetdicom.dimse_primitives import C_CANCEL
from pynetdicom.pdu import A_ABORT_RQ

log = logging.getLogger("anogan.pacs")

_PROVIDER, _INVALID_PARAMETER = 2, 6  # who aborts, and why (PS3.8, 9.3.8)
_CLOSED = "Evt17"  # the connection, by the other side (PS3.8, 9.2.2)
_UNEXPECTED = "Evt19"  # a unit or command that is none


def guard(assoc: Any) -> None:
    """Have whatever goes wrong in an association abort it; to be called before its threads start.

    Parameters
    ----------
    assoc
        A `pynetdicom.association.Association` whose connection was just opened.
    """
    machine, caller = assoc.dul.state_machine, _caller(assoc)
    act, run, serve = machine.do_action, assoc.run, assoc._serve_request

    def acting(event: str) -> None:
        if event == _UNEXPECTED:
            log.warning("%s: what it sent is no valid command; the association is aborted", caller)
        try:
            act(event)
        except Exception as error:
            failed(error)
        if event == _CLOSED:
            assoc.dul.to_user_queue.put(None)  # else who hung up without a word would be waited for

    def running() -> None:
        try:
            run()
        except Exception as error:
            failed(error)
        finally:
            _clear(assoc)

    def serving(message: Any, context_id: int) -> None:
        try:
            if message.is_valid_request or isinstance(message, C_CANCEL):
                serve(message, context_id)
                return
            # It lacks what an answer needs, or is an answer itself.
            log.warning("%s: sent a command that cannot be answered; the association is aborted", caller)
            assoc.abort()
        finally:
            _remove(getattr(message, "_dataset_path", None))  # where no class of ours was asked to take it

    def failed(error: Exception) -> None:
        # Not its words, which may quote what was sent.
        log.warning("%s: cannot be understood (%s); the association is aborted", caller, type(error).__name__)
        _end(assoc)

    machine.do_action, assoc.run, assoc._serve_request = acting, running, serving


def _caller(assoc: Any) -> str:
    try:
        return f"caller {assoc.dul.socket.socket.getpeername()[0]}"
    except (OSError, AttributeError):  # gone already
        return "a caller"


def _end(assoc: Any) -> None:
    """Abort past the state machine, which is in no state any more."""
    abort = A_ABORT_RQ()
    abort.source, abort.reason_diagnostic = _PROVIDER, _INVALID_PARAMETER
    with contextlib.suppress(Exception):
        assoc.dul.socket.send(abort.encode())
    assoc.is_aborted, assoc.is_established = True, False
    assoc._kill = assoc.dul._kill_thread = True
    assoc.dul.to_user_queue.put(None)  # whom somebody waits for comes no more
    assoc.dul.socket.close()


def _clear(assoc: Any) -> None:
    """Remove what arrived for an association that has ended, and was not served."""
    _remove(getattr(assoc.dimse.message, "_data_set_path", None))
    while not assoc.dimse.msg_queue.empty():
        _, message = assoc.dimse.msg_queue.get()
        _remove(getattr(message, "_dataset_path", None))


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
