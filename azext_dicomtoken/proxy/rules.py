"""What may pass between a local client and the service, as tables and pure functions over them.

Owned: the secret, `Host`, origins, methods, paths, and which headers stop here. Not owned: the syntax of a message
(`syntax.py`). Nothing here reads a socket or raises: each function returns a value. Every refusal says which rule it is
and quotes nothing of the request, because an answer may end up in a log or on a page.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import unquote

from azext_dicomtoken.proxy.syntax import TOKEN, Answer, Fields, Request, named_by_connection, values_of


@dataclass(frozen=True)
class Passage:
    """A request that may go to the service.

    :ivar target: path and query without the secret.
    :ivar is_secret_in_path: whether the client's addresses carry the secret.
    :ivar expects_continue: whether the client waits for the service's word before it sends its body.
    """

    target: bytes = field(repr=False)
    origin: bytes | None
    is_secret_in_path: bool
    expects_continue: bool


@dataclass(frozen=True)
class Policy:
    """What one proxy lets through.

    :ivar secret: at least 32 hexadecimal digits.
    :ivar groups: names of `GROUPS`.
    :ivar origins: as browsers write them.
    :ivar hosts: names that `Host` may have besides this machine's, in lower case.
    """

    port: int
    secret: str = field(repr=False)
    groups: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()


# ---- Host, secret, origin, method, path ------------------------------------------------------------------------------

_LOCAL_NAMES = frozenset({'127.0.0.1', 'localhost'})
_READING = ('GET', 'HEAD', 'OPTIONS')
_SEGMENT = rb'(?:[A-Za-z0-9.,_$@:-]|%2[Cc]|%24)+'
_PATH = re.compile(rb'/v[12](?:/(?!\.+(?:/|$))' + _SEGMENT + rb')*/?')
_STUDY = r'[0-9.]{1,64}'


class Group(NamedTuple):
    """Writes that one name of `--allow` lets through.

    :ivar paths: below the version and the partition, escapes decoded ("Conformance statement", and the routes of
        microsoft/dicom-server).
    """

    methods: tuple[str, ...]
    paths: re.Pattern[str]


GROUPS = {
    'store': Group(('POST', 'PUT'), re.compile(rf'/studies(?:/{_STUDY})?/?')),
    'update': Group(('POST',), re.compile(r'/studies/\$bulkUpdate/?')),
    'delete': Group(('DELETE',), re.compile(r'/studies/[^/].*')),
    'tags': Group(('POST', 'PATCH', 'DELETE'), re.compile(r'/extendedquerytags(?:/.*)?')),
    'export': Group(('POST',), re.compile(r'/export/?')),
    'workitems': Group(('POST', 'PUT'), re.compile(r'/workitems(?:/.*)?')),
}

_HOST_NAME = re.compile(r'[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?')
_ORIGIN = re.compile(r'[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?')
_DEFAULT_PORTS = {'http': ':80', 'https': ':443'}
SECRET = re.compile('[0-9A-Fa-f]{32,128}')


def judge(request: Request, policy: Policy) -> Answer | Passage:
    """Every check after the syntax, in the order in which they count."""
    if not _is_own_host(values_of(request.fields, b'host')[0], policy):
        return Answer(421, 'Host does not name this proxy.')
    origin = _allowed_origin(request, policy)
    if origin and _is_preflight(request):
        return _preflight(request, policy, origin)
    target, is_secret_in_path = _without_secret(request.target, policy)
    if not is_secret_in_path and not _has_secret_header(request, policy):
        return Answer(404, 'There is nothing here.', origin=origin)
    if not _is_from_allowed_page(request, origin):
        return Answer(403, 'Web pages of this origin are not allowed.', origin=origin)
    answer = _answer_here(request, policy, path=target.partition(b'?')[0])
    if answer:
        return replace(answer, origin=origin)
    expects_continue = bool(values_of(request.fields, b'expect')) and not request.is_http10
    return Passage(target, origin, is_secret_in_path, expects_continue)


def is_origin(text: str) -> bool:
    """Whether it is an origin as browsers write it: no default port, no slash at the end; `null` is none."""
    match = _ORIGIN.fullmatch(text)
    default = _DEFAULT_PORTS.get(text.partition(':')[0])
    return match is not None and not text.startswith('file:') and not (default and text.endswith(default))


def is_host_name(text: str) -> bool:
    """Whether it is a host name or an IPv4 address, without a port."""
    return _HOST_NAME.fullmatch(text) is not None


def kind_of(target: bytes) -> str:
    """`v2 frames`: version and kind of resource, of a path that may pass; never anything of the request itself."""
    words = target.partition(b'?')[0].decode('ascii').split('/')
    kind = next((word for word in reversed(words) if word in _KINDS), 'other')
    return f'{words[1]} {kind}'


_KINDS = frozenset(
    {
        *('studies', 'series', 'instances', 'frames', 'rendered', 'metadata', 'changefeed', 'operations', 'export'),
        *('extendedquerytags', 'workitems', 'partitions'),
    }
)


def _answer_here(request: Request, policy: Policy, *, path: bytes) -> Answer | None:
    """What a caller who may ask gets from the proxy itself: for a method, a path or an expectation, and for OPTIONS."""
    methods = _methods_of(path, policy)
    allow = (b'Allow', ', '.join(methods).encode())
    method = request.method.decode('ascii')
    if method not in methods:
        return Answer(405, _why_not_allowed(method, path), (allow,))
    if not _PATH.fullmatch(path):
        return Answer(404, 'This is not a path of the DICOM service: those are below /v1 and /v2.')
    if any(value.lower() != b'100-continue' for value in values_of(request.fields, b'expect')):
        return Answer(417, 'The only expectation is 100-continue.')
    return Answer(204, '', (allow,)) if request.method == b'OPTIONS' else None


def _is_own_host(host: bytes, policy: Policy) -> bool:
    """The bare name too: some clients leave a port out. A page that rebinds its own name to this address gets 421."""
    name = host.decode('ascii').lower().removesuffix(f':{policy.port}')
    return name in _LOCAL_NAMES | policy.hosts


def _allowed_origin(request: Request, policy: Policy) -> bytes | None:
    origins = values_of(request.fields, b'origin')
    return origins[0] if origins and origins[0].decode('ascii') in policy.origins else None


def _is_preflight(request: Request) -> bool:
    return request.method == b'OPTIONS' and bool(values_of(request.fields, b'access-control-request-method'))


def _preflight(request: Request, policy: Policy, origin: bytes) -> Answer:
    """Browsers send no secret with it; it says nothing but that the origin is allowed."""
    methods = {'GET', 'HEAD', *(method for group in policy.groups for method in GROUPS[group].methods)}
    wanted = b', '.join(values_of(request.fields, b'access-control-request-headers'))
    names = sorted({name for part in wanted.split(b',') if re.fullmatch(TOKEN, name := part.strip().lower())} - {b'*'})
    fields = [(b'Access-Control-Allow-Methods', ', '.join(sorted(methods)).encode())]
    if names:
        fields.append((b'Access-Control-Allow-Headers', b', '.join(names)))
    return Answer(204, '', (*fields, (b'Access-Control-Max-Age', b'600')), origin)


def _without_secret(target: bytes, policy: Policy) -> tuple[bytes, bool]:
    """The target as the service knows it, and whether the secret came with it."""
    path, mark, query = target.partition(b'?')
    first, slash, rest = path[1:].partition(b'/')
    if not hmac.compare_digest(first, policy.secret.encode()):
        return target, False
    return slash + rest + mark + query, True


def _has_secret_header(request: Request, policy: Policy) -> bool:
    scheme, _, value = (values_of(request.fields, b'authorization') or [b''])[0].partition(b' ')
    return hmac.compare_digest(value.strip(b' '), policy.secret.encode()) and scheme.lower() == b'bearer'


def _is_from_allowed_page(request: Request, origin: bytes | None) -> bool:
    """A browser says with Sec-Fetch-Site where a request comes from that has no origin, such as an <img>'s."""
    if values_of(request.fields, b'origin'):
        return origin is not None
    return all(site == b'none' for site in values_of(request.fields, b'sec-fetch-site'))


def _methods_of(path: bytes, policy: Policy) -> list[str]:
    """Reading, and what the allowed groups add on this path."""
    added = {method for name in _groups_of(path) if name in policy.groups for method in GROUPS[name].methods}
    return [*_READING, *sorted(added)]


def _why_not_allowed(method: str, path: bytes) -> str:
    name = next((name for name in _groups_of(path) if method in GROUPS[name].methods), None)
    return f'To allow this, start the proxy with --allow {name}.' if name else 'This method is not allowed here.'


def _groups_of(path: bytes) -> list[str]:
    """The groups that have writes on this path."""
    route = re.fullmatch(r'/v[12](?:/partitions/[^/]+)?(/.*)', unquote(path.decode('ascii')))
    if route is None or not _PATH.fullmatch(path):
        return []
    return [name for name, group in GROUPS.items() if group.paths.fullmatch(route[1])]


# ---- Headers ---------------------------------------------------------------------------------------------------------

_HOP_BY_HOP = frozenset(
    {
        *(b'connection', b'keep-alive', b'proxy-connection', b'te', b'trailer', b'transfer-encoding', b'upgrade'),
        b'http2-settings',
    }
)
# What says who asks, from where, or that another method, path or host is meant.
_REQUEST_STOPS = _HOP_BY_HOP | {
    *(b'host', b'content-length', b'expect', b'authorization', b'cookie', b'cookie2', b'origin', b'referer'),
    *(b'forwarded', b'x-real-ip', b'via', b'x-http-method', b'x-http-method-override', b'x-method-override'),
    *(b'x-original-url', b'x-rewrite-url', b'x-original-host'),
}
_REQUEST_STOP_PREFIXES = (b'proxy-', b'sec-', b'access-control-', b'x-forwarded-')
# What a browser would keep for this origin, or send to somebody else with the address, in which the secret is.
_RESPONSE_STOPS = _HOP_BY_HOP | {
    *(b'content-length', b'set-cookie', b'set-cookie2', b'alt-svc', b'strict-transport-security', b'clear-site-data'),
    *(b'nel', b'report-to', b'reporting-endpoints', b'service-worker-allowed', b'sourcemap', b'x-sourcemap'),
    *(b'x-content-type-options', b'referrer-policy', b'content-security-policy'),
    *(b'content-security-policy-report-only', b'cross-origin-resource-policy', b'proxy-authenticate'),
}
_RESPONSE_STOP_PREFIXES = (b'access-control-',)
# What the service returns must never run as a page of this origin, which knows the secret.
_OWN_FIELDS: Fields = (
    (b'X-Content-Type-Options', b'nosniff'),
    (b'Referrer-Policy', b'no-referrer'),
    (b'Content-Security-Policy', b"sandbox; default-src 'none'; frame-ancestors 'none'"),
)


def fields_for_service(request: Request) -> list[tuple[bytes, bytes]]:
    """The client's headers that go on; host, token and framing are added by who sends them."""
    return _passed(request.fields, _REQUEST_STOPS, _REQUEST_STOP_PREFIXES)


def fields_for_client(fields: Fields, *, origin: bytes | None) -> list[tuple[bytes, bytes]]:
    """The headers of an answer of the service, without its framing."""
    return _shown(_passed(fields, _RESPONSE_STOPS, _RESPONSE_STOP_PREFIXES), origin)


def fields_of_answer(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer of the proxy itself, without its framing."""
    text = [(b'Content-Type', b'text/plain; charset=utf-8')] if answer.text else []
    return _shown([*answer.fields, *text], answer.origin)


def local_location(value: bytes, *, service_origin: str, base: bytes) -> bytes:
    """A redirect to the service's own origin as an address of the proxy; any other stays as it is.

    :param base: the proxy's origin as the client knows it, with the secret where the client's address has it.
    """
    if value.startswith(b'/') and not value.startswith((b'//', b'/\\')):
        return base + value
    match = re.match(rb'(https?)://([^/?#@\\]*)(?=[/?#]|$)', value, re.IGNORECASE)
    if match is None or _normal_origin(match[1], match[2]) != service_origin:
        return value
    rest = value[match.end() :]
    return base + (rest if rest.startswith(b'/') else b'/' + rest)


def _normal_origin(scheme: bytes, authority: bytes) -> str:
    name = scheme.decode('ascii').lower()
    return f'{name}://{authority.decode("ascii").lower().removesuffix(_DEFAULT_PORTS[name])}'


def _passed(fields: Fields, stops: frozenset[bytes], prefixes: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    """An underscore counts as a hyphen: some servers read `X_HTTP_Method_Override` so."""
    dropped = stops | named_by_connection(fields)

    def is_passed(name: bytes) -> bool:
        plain = name.lower().replace(b'_', b'-')
        return name.lower() not in dropped and plain not in dropped and not plain.startswith(prefixes)

    return [(name, value) for name, value in fields if is_passed(name)]


def _shown(fields: list[tuple[bytes, bytes]], origin: bytes | None) -> list[tuple[bytes, bytes]]:
    """With what every response has: no page, no copy on a disk; and readable for the allowed origin that asked."""
    shown = [*fields, *_OWN_FIELDS]
    if not values_of(fields, b'cache-control'):
        shown.append((b'Cache-Control', b'no-store'))
    return shown + (_cors_fields(shown, origin) if origin else [])


def _cors_fields(fields: Fields, origin: bytes) -> list[tuple[bytes, bytes]]:
    """Never with credentials, never for all; the private-network header is for older Chrome."""
    names = sorted({name.lower() for name, _ in fields} | {b'content-length'})
    return [
        (b'Access-Control-Allow-Origin', origin),
        (b'Access-Control-Expose-Headers', b', '.join(names)),
        (b'Access-Control-Allow-Private-Network', b'true'),
        (b'Cross-Origin-Resource-Policy', b'cross-origin'),
        (b'Vary', b'Origin'),
    ]
