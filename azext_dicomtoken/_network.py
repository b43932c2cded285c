"""What the environment says of proxies and certificate authorities: by which name, and what is wrong with it.

Owned: which variable counts for an address, so that a message can name it. Not owned: the connection itself, which
follows the same variables (`dicomfeed/transport.py`, and az's own for the sign-in).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

_PROXY_SCHEMES = ('http', 'https', 'socks4', 'socks4a', 'socks5', 'socks5h')
_AUTHORITY_VARIABLES = ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE')


class Setting(NamedTuple):
    """A value of the environment, and the name under which it is set.

    :ivar is_variable: False for a setting of the system.
    """

    name: str
    value: str
    is_variable: bool = True


def proxy_setting(url: str, *, environ: Mapping[str, str] = os.environ) -> Setting | None:
    """The proxy that is in force for the address.

    On Windows and macOS the system has a setting, too, which counts where no variable does.
    """
    from dicomfeed.transport import proxy_of

    value = proxy_of(url)
    if not value:
        return None
    names = (_variable(f'{scheme}_proxy', environ) for scheme in (urlsplit(url).scheme, 'all'))
    name = next(filter(None, names), None)
    return Setting(name, value) if name else Setting('the setting of the system', value, is_variable=False)


def without_password(setting: Setting) -> str:
    """Host and port of a proxy; the whole value may hold a password."""
    text = setting.value if '://' in setting.value else f'//{setting.value}'
    return text.partition('//')[2].rpartition('@')[2].rstrip('/')


def is_proxy_url(setting: Setting) -> bool:
    """Whether the value can be the URL of a proxy, whose scheme may be left out."""
    text = setting.value if '://' in setting.value else f'http://{setting.value}'
    try:
        parts = urlsplit(text)
        return parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # no number for a port, no end of an IPv6 address
        return False


def exception_variable(*, environ: Mapping[str, str] = os.environ) -> str:
    """The one of `no_proxy` and `NO_PROXY` that counts: the other one is not looked at (requests#4579)."""
    return 'no_proxy' if environ.get('no_proxy') else 'NO_PROXY'


def authority_setting(*, environ: Mapping[str, str] = os.environ) -> Setting | None:
    """The file or folder of certificate authorities that takes the place of those that come with az."""
    return next((Setting(name, environ[name]) for name in _AUTHORITY_VARIABLES if environ.get(name)), None)


def problem_with_authority(setting: Setting) -> str | None:
    """What is wrong with that file, as the end of a sentence; None where certificates can be read from it."""
    import ssl

    try:
        if os.path.isdir(setting.value):
            return None if os.listdir(setting.value) else 'which is an empty folder'
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=setting.value)
    except FileNotFoundError:
        return 'which does not exist'
    except ssl.SSLError:
        return 'in which no certificate can be read'
    except (OSError, ValueError) as error:
        return f'which cannot be read ({getattr(error, "strerror", None) or "not a path"})'
    return None


def _variable(name: str, environ: Mapping[str, str]) -> str | None:
    """The spelling that counts: lower case if it is there, else any other (`urllib.request.getproxies_environment`)."""
    spellings = [name, *(spelling for spelling in environ if spelling.lower() == name)]
    return next((spelling for spelling in spellings if environ.get(spelling)), None)
