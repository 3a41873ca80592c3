"""The key of a rerank API: where it comes from, where it may go, and how it is kept out of what is shown.

It comes from the environment of each worker process, and goes into the Authorization header and nowhere else.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re

import httpx

from transforms.base.errors import UserError, shown
from transforms.scoring.choices import KEY_VARIABLE

MESSAGE_LENGTH = 200  # characters kept of what a server says

_SECRET_PARAMETER = re.compile("key|token|secret|passw|auth|sig|cred|code", re.IGNORECASE)


def check_address(url: str) -> None:
    """Check that an address is one, and that it can be shown and written down.

    Raises:
        UserError: it is not; the message repeats nothing that may be a secret.
    """
    try:
        parts = httpx.URL(url)
        parts.host.encode("idna")  # no part is too long
        valid = parts.scheme in ("http", "https") and (parts.port or 0) < 1 << 16
    except (httpx.InvalidURL, UnicodeError):
        valid = False
    if not valid:
        raise UserError("--model: this address is not valid; give one like https://HOST/v1/rerank")
    if not parts.host:
        raise UserError("--model: this address has no host; give one like https://HOST/v1/rerank")
    if parts.userinfo:
        raise UserError(f"--model: a user or password in the address of {parts.host}; give the key in {KEY_VARIABLE}")
    for name in parts.params:
        if _SECRET_PARAMETER.search(name):
            raise UserError(
                f"--model: {name}= in the address of {parts.host} looks like a secret, and addresses are written to "
                f"job.json; give the key in {KEY_VARIABLE}"
            )


def authorization(url: str) -> dict[str, str]:
    """The header with the key from the environment; none where there is no key.

    Raises:
        UserError: the key cannot stand in a header, or would travel in clear text.
    """
    key = _key()
    if not key:
        return {}
    if not re.fullmatch("[!-~]+", key):  # the HTTP library would show it in its error
        raise UserError(f"{KEY_VARIABLE}: holds a blank, a line break or a character beyond ASCII; set it again")
    if not url.startswith("https://") and not is_loopback(httpx.URL(url).host):
        raise UserError(
            f"--model {url}: {KEY_VARIABLE} would travel unencrypted; use https://, or unset {KEY_VARIABLE}"
        )
    return {"Authorization": f"Bearer {key}"}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Cleaner:
    """Makes what a server says fit to be shown; holds the key of now."""

    def __init__(self) -> None:
        key = _key()
        forms = [key, *(_within_base64(key, before) for before in range(3))] if key else []
        # A base64 form of a key of a character or two is a letter or none.
        self._key = re.compile("|".join(_in_any_escape(form) for form in forms if len(form) > 1 or form == key))
        self._has_key = bool(key)

    def __call__(self, message: str) -> str:
        """One line of at most MESSAGE_LENGTH characters, without the key and without control characters."""
        return shown(self._key.sub("[key]", message) if self._has_key else message)[:MESSAGE_LENGTH]


def _key() -> str:
    return os.environ.get(KEY_VARIABLE, "").strip()


def _within_base64(key: str, before: int) -> str:
    """The characters that the key alone decides, when it is encoded after so many bytes (modulo 3) of other text."""
    bits = 8 * (before + len(key))
    return base64.b64encode(b"\0" * before + key.encode()).decode()[-(-8 * before // 6) : bits // 6]


def _in_any_escape(text: str) -> str:
    """A pattern of the text, each of whose characters may be escaped as in JSON, URLs or HTML, or, of base64, be that
    of URLs."""
    return "".join(map(_in_any_escape_of_one, text))


def _in_any_escape_of_one(character: str) -> str:
    code = ord(character)
    forms = [rf"\\?{re.escape(character)}", f"(?i:%{code:02x})", rf"(?i:\\u{code:04x})", f"(?i:&#x0*{code:x};)"]
    named = {"&": ["&amp;"], "<": ["&lt;"], ">": ["&gt;"], '"': ["&quot;"], "+": ["-"], "/": ["_"]}
    return f"(?:{'|'.join([*forms, f'&#0*{code};', *named.get(character, [])])})"
