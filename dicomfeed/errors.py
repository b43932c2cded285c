"""What can go wrong while the change feed is read: one tree of exceptions.

    FeedError
    ├── RequestError                no usable answer came back for a request
    │   ├── ConnectionFailed        no connection that a token may go over, or one that broke
    │   │   ├── HostUnreachable     name look-up, refused, reset, time-out, proxy
    │   │   └── TlsFailed           the certificate was not trusted, or no TLS could be agreed on
    │   ├── ProxySettingWrong       the environment names a proxy that cannot be one
    │   └── MalformedResponse       an answer that is not what the contract says: incomplete, not JSON, too deep
    │       └── HtmlResponse        a page for people: a portal, a gateway or another service answered
    ├── ServiceError                the service answered with a status that is not a success
    │   ├── BadRequest              400 that names a parameter
    │   ├── Unauthorized            401, after one renewal of the token
    │   ├── Forbidden               403
    │   ├── NotFound                404
    │   ├── Redirected              3xx; a redirect is never followed, because the token would go with it
    │   └── ServiceTrouble          408, 424, 429, 5xx and the 400 that is really transient
    ├── SignInUnavailable           no token for now: the sign-in service is not reached, or in trouble
    ├── FeedRestored                the database went back in time: sequence numbers name other events now
    │   └── StartAboveEnd           the number to start after is above the newest event: perhaps mistyped
    ├── TooManyPoisoned             more events than bearable have metadata that cannot be read
    └── FileError                   a file cannot be used
        ├── CheckpointError         the checkpoint
        │   ├── CheckpointDamaged   it is not whole, or was changed
        │   │   └── NotACheckpoint  it is another kind of file
        │   ├── CheckpointMismatch  it belongs to another service, other filters or another format
        │   └── CheckpointLocked    another process works with it
        └── OutputError             the file for the events
            ├── OutputExists        there is a file of that name already
            ├── OutputChanged       another program moved, removed, replaced or changed it
            └── OutputLocked        another process writes it

No message holds a token, a UID or anything of a patient. What the service said of itself stands in
`ServiceError.text`, for a person's eyes and never for a log.
"""

from __future__ import annotations


class FeedError(Exception):
    """Root of the tree."""


class RequestError(FeedError):
    """No usable answer came back.

    :ivar url: the address that was asked, without its query.
    """

    def __init__(self, message: str, *, url: str) -> None:
        super().__init__(message)
        self.url = url


class ConnectionFailed(RequestError):
    """No connection to the host that a token may go over, or one that broke.

    :ivar through_proxy: whether a proxy stood between; then the name was looked up there.
    """

    def __init__(self, message: str, *, url: str, through_proxy: bool = False) -> None:
        super().__init__(message, url=url)
        self.through_proxy = through_proxy


class HostUnreachable(ConnectionFailed):
    """The host was not reached, or the connection broke.

    :ivar proxy_status: with what status a proxy refused to lead to the host, when it said so (407: it wants a user name
        and a password; 403: it does not allow the host; 502, 504: it does not reach the host).
    """

    def __init__(self, message: str, *, url: str, through_proxy: bool = False, proxy_status: int | None = None) -> None:
        super().__init__(message, url=url, through_proxy=through_proxy)
        self.proxy_status = proxy_status


class TlsFailed(ConnectionFailed):
    """The host was reached, but its certificate was not trusted, or no TLS could be agreed on."""


class ProxySettingWrong(RequestError):
    """What the environment names as the proxy is no URL of a proxy, or of another kind of proxy; nothing was sent."""


class MalformedResponse(RequestError):
    """A success that cannot be read: incomplete, not JSON, nested without end, not a list of events."""


class HtmlResponse(MalformedResponse):
    """A success with an HTML page: something between here and the service answered, or it is no DICOM service."""


class ServiceError(FeedError):
    """The service answered with a status that is not a success.

    :ivar status: HTTP status.
    :ivar url: the address that was asked, without its query.
    :ivar text: the service's own words, at most 2,000 characters; may hold anything, so show it to the user only.
    :ivar request_id: an identifier for the service's support, when an answer carried one.
    :ivar retry_after: seconds that the service asked to be left alone, when it did.
    :ivar challenge: the `WWW-Authenticate` header of a 401.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        url: str,
        text: str = '',
        request_id: str | None = None,
        retry_after: float | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.url = url
        self.text = text
        self.request_id = request_id
        self.retry_after = retry_after
        self.challenge = challenge


class BadRequest(ServiceError):
    """400: a parameter was refused."""


class Unauthorized(ServiceError):
    """401: the token was not accepted, a renewed one neither."""


class Forbidden(ServiceError):
    """403: signed in, but without a role that may read."""


class NotFound(ServiceError):
    """404: no such route, so hardly a DICOM service."""


class Redirected(ServiceError):
    """3xx: the service pointed elsewhere."""


class ServiceTrouble(ServiceError):
    """A status that may pass: 408, 424, 429, 5xx, and a 400 for a failure of the data store."""


class SignInUnavailable(FeedError):
    """A token cannot be had for now; what a `TokenSource` raises for what may pass.

    No connection to the sign-in service, a time-out, 429, 5xx, an answer that is not JSON. A refusal is not one of
    those: it does not come by waiting.

    :ivar is_reached: whether the sign-in service has answered at all.
    """

    def __init__(self, message: str, *, is_reached: bool = False) -> None:
        super().__init__(message)
        self.is_reached = is_reached


class FeedRestored(FeedError):
    """The event that was read last is gone or is another one now, as after a point-in-time restore."""


class StartAboveEnd(FeedRestored):
    """The newest event is below where reading begins, and no event is known that was there: perhaps a wrong number."""


class TooManyPoisoned(FeedError):
    """More events than bearable have metadata that cannot be read.

    :ivar sequences: their sequence numbers.
    """

    def __init__(self, message: str, *, sequences: list[int]) -> None:
        super().__init__(message)
        self.sequences = sequences


class FileError(FeedError):
    """A file cannot be used. Its path is not in the message, because it may hold anything, a patient's name included.

    :ivar path: the file, absolute.
    :ivar errno: what the system said, when it did.
    """

    def __init__(self, message: str, *, path: str = '', errno: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.errno = errno


class CheckpointError(FileError):
    """The checkpoint cannot be used."""


class CheckpointDamaged(CheckpointError):
    """Not whole, or changed by another program; it was left as it is."""


class NotACheckpoint(CheckpointDamaged):
    """The file does not begin as a checkpoint does."""


class CheckpointMismatch(CheckpointError):
    """Made for another service, with other filters, or by a newer version; it was left as it is."""


class CheckpointLocked(CheckpointError):
    """Another process works with it.

    :ivar process_id: that process, when it is known.
    """

    def __init__(self, message: str, *, path: str = '', process_id: int | None = None) -> None:
        super().__init__(message, path=path)
        self.process_id = process_id


class OutputError(FileError):
    """The file for the events cannot be used; what was committed before stands."""


class OutputExists(OutputError):
    """There is a file of that name already.

    :ivar recorded_path: the file that the checkpoint names, where there is one.
    """

    def __init__(
        self, message: str = 'The output file exists already.', *, path: str = '', recorded_path: str = ''
    ) -> None:
        super().__init__(message, path=path)
        self.recorded_path = recorded_path


class OutputChanged(OutputError):
    """It is not the file any more that was written: moved, removed, replaced, truncated or changed."""


class OutputLocked(OutputError):
    """Another process writes it.

    :ivar process_id: that process, when it is known.
    """

    def __init__(self, message: str, *, path: str = '', process_id: int | None = None) -> None:
        super().__init__(message, path=path)
        self.process_id = process_id
