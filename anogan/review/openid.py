"""The settings of the sign-in: a TOML file that Streamlit reads for `st.login`, checked before the start. No Streamlit.

::

    [auth]
    redirect_uri = "https://desk.example.org/oauth2callback"
    cookie_secret = "..."                # 32 random characters or more
    client_id = "anogan"
    client_secret = "..."
    server_metadata_url = "https://login.example.org/.well-known/openid-configuration"

    [anogan]
    claim = "preferred_username"         # what names a member: this, "email" or "sub"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anogan.config import LOOPBACK
from anogan.review import LOCAL
from anogan.storage.documents import toml_table

CLAIM = "preferred_username"
"""The claim that names a member unless the settings name another."""

_KEYS = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_SHORTEST_SECRET = 32


def read_settings(path: Path) -> str:
    """Check the settings and return the address at which people open the dashboard, such as `https://desk.example.org`.

    Raises
    ------
    ValueError
        The file cannot be read, lacks something, or would send a sign-in over the network unencrypted.
    """
    try:
        auth = toml_table(path.read_text(encoding="utf-8")).get("auth")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # also of text that is not UTF-8
        raise ValueError(f"{path}: is no TOML ({error})") from None
    if not isinstance(auth, dict):
        raise ValueError(f"{path}: has no section [auth]; give it {', '.join(_KEYS)}")
    for key in _KEYS:
        if not isinstance(auth.get(key), str) or not auth[key]:
            raise ValueError(f"{path}: [auth] has no {key}; give it {', '.join(_KEYS)}")
    if len(auth["cookie_secret"]) < _SHORTEST_SECRET:
        raise ValueError(
            f"{path}: cookie_secret is too short, so that a sign-in could be forged; "
            f"give {_SHORTEST_SECRET} random characters or more"
        )
    for key in ("redirect_uri", "server_metadata_url"):
        url = urlsplit(auth[key])
        if not url.hostname or not (url.scheme == "https" or url.scheme == "http" and url.hostname in LOOPBACK):
            raise ValueError(f"{path}: {key} is {auth[key]}; expected https://, or http:// on this machine")
    if not auth["redirect_uri"].endswith("/oauth2callback"):
        raise ValueError(f"{path}: redirect_uri is {auth['redirect_uri']}; expected it to end in /oauth2callback")
    return str(auth["redirect_uri"]).removesuffix("/oauth2callback")


def member(claims: Mapping[str, Any], claim: str, now: float) -> str:
    """Return the name that a sign-in gives, as the desk's list of members has it.

    Parameters
    ----------
    claims
        Those of the ID token, whose signature was verified when it came.
    claim
        The one that names the member. Of all claims only `sub` is never given to another person (OpenID Connect Core
        1.0, section 5.7); the provider's rules decide about the others.
    now
        Seconds since 1970.

    Raises
    ------
    ValueError
        The ID token has run out (`exp`, section 2), or names nobody.
    """
    ends = claims.get("exp")
    if isinstance(ends, bool) or not isinstance(ends, int | float) or not ends > now:  # NaN, too
        raise ValueError("Your sign-in has ended; sign in again.")
    name = claims.get(claim)
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"The sign-in gives no {claim}; the provider must send it, or [anogan] claim name another.")
    if claim == "email" and claims.get("email_verified") is not True:
        raise ValueError("The sign-in does not vouch for your e-mail address; have the provider verify it.")
    if name == LOCAL:  # whoever works without signing in is called that
        raise ValueError(f"{name}: can be nobody's name on a desk; ask the provider for another.")
    return name
