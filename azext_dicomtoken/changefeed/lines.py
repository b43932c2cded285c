"""How an event becomes a line: the service's own bytes, what --query makes of it, a row of columns.

Owned: the form of a line, and what of it is escaped for whom. Not owned: which events, and where the lines go; lines of
other things than events (`studies.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_dicomtoken import _json
from azext_dicomtoken._format import spaced
from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._output import escape_controls, escape_json_controls
from azext_dicomtoken._stdout import Stdout, backslash, encoded
from dicomfeed.events import Event

LineOf = Callable[[Any], bytes]

# JMESPath's own errors are ValueErrors; a function on a value that it did not expect fails as Python does: floor of
# 1e400 is an OverflowError.
_QUERY_ERRORS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)


class Lines:
    """Makes the lines of one run, of events.

    :param stdout: where they go; None for a file, which is UTF-8 and no terminal.
    """

    def __init__(self, invocation: Invocation, *, stdout: Stdout | None) -> None:
        self.has_queried = False
        """Whether --query was applied to any event."""
        self.has_result = False
        """Whether any event had a result."""
        self._query = invocation.query() if invocation.has_query else None
        self._is_terminal = stdout is not None and stdout.is_terminal
        self._encoding = 'utf-8' if stdout is None else stdout.encoding
        self._header: bytes | None = None
        self._line_of = self._chosen(invocation.typed_output, columns=invocation.terminal_columns)

    @property
    def are_own(self) -> bool:
        """Whether a line is made here at all, and is not the service's own."""
        return self._line_of is not None

    def of(self, items: list[Any]) -> list[bytes]:
        """One line for each event, and the header of a table before the first.

        :raises LineError: where --query fails on an event.
        """
        assert self._line_of is not None
        lines = [] if self._header is None else [self._header]
        self._header = None
        for item in items:
            lines.append(self._line_of(item))
        return lines

    # What a subclass has other than events

    def _own_line_of(self) -> LineOf | None:
        """Makes lines as they are without any option; None where there is nothing to make."""
        return self._own if self._is_terminal else None

    def _content(self, item: Any) -> Any:
        """What --query is applied to."""
        return _json.loads(item.line)

    def _table(self, *, columns: int | None) -> tuple[str, Callable[[Any], str]]:
        """The header, and what makes a row."""
        from azext_dicomtoken._format import EVENTS, FixedTable

        table = FixedTable(EVENTS, columns=columns)
        return table.header, lambda event: table.row(event.decode_properties())

    def _error(self, item: Any, error: Exception) -> LineError:
        return LineError(
            f'the event with sequence number {item.sequence}',
            error,
            recommendation='Give the function a default, such as length(metadata || `{}`), or leave such events out '
            'with a filter (--action, --state).',
            event=item,
        )

    # What they share

    def _chosen(self, output: str | None, *, columns: int | None) -> LineOf | None:
        """A configured output format counts for what az prints, and never for lines."""
        if output == 'tsv':
            return self._tsv
        if output == 'table':
            header, row = self._table(columns=columns)
            self._header = header.encode()
            return lambda item: self._text(row(item))
        if self._query is not None:
            return self._json
        return self._own_line_of()

    def _own(self, event: Event) -> bytes:
        return escape_json_controls(event.line.decode('utf-8')).encode('utf-8')

    def _json(self, item: Any) -> bytes:
        line = _json.dumps(self._result(item), separators=(',', ':'))
        return encoded(escape_json_controls(line) if self._is_terminal else line, 'utf-8', escape=_json.escape)

    def _tsv(self, item: Any) -> bytes:
        from knack.output import format_tsv
        from knack.util import CommandResultItem

        result = spaced(self._content(item) if self._query is None else self._result(item))
        # as the one row of a result, or a list would be a row for each element
        return self._text(format_tsv(CommandResultItem([result])).removesuffix('\n'))

    def _text(self, line: str) -> bytes:
        if self._is_terminal:
            line = '\t'.join(map(escape_controls, line.split('\t')))
        return encoded(line, self._encoding, escape=backslash)

    def _result(self, item: Any) -> Any:
        assert self._query is not None
        try:
            result = self._query(self._content(item))
        except _QUERY_ERRORS as error:
            raise self._error(item, error) from None
        self.has_queried = True
        self.has_result = self.has_result or result is not None
        return result


def queried(invocation: Invocation, result: Any) -> Any:
    """What --query makes of the whole result of a command; az then applies it no more.

    Where it fails, az would print and report the value that it failed on.
    """
    try:
        return invocation.query()(result)
    except _QUERY_ERRORS as error:
        raise InvalidArgumentValueError(
            f'--query failed on the result{_reason(error)}.',
            recommendation='Give the function a default, such as length(metadata || `{}`).',
        ) from None


class LineError(InvalidArgumentValueError):
    """--query failed on one event, or on what was made of several.

    :ivar event: that event; None where it was not one alone.
    """

    def __init__(self, what: str, error: Exception, *, recommendation: str, event: Event | None = None) -> None:
        super().__init__(f'--query failed on {what}{_reason(error)}.', recommendation=recommendation)
        self.event = event


def _reason(error: Exception) -> str:
    """Which function there is not, or did not take which type; never the value, which is health data."""
    from jmespath.exceptions import ArityError, UnknownFunctionError

    if isinstance(error, (ArityError, UnknownFunctionError)):  # they tell of the expression alone
        return f': {error}'
    function, given = getattr(error, 'function_name', None), getattr(error, 'actual_type', None)
    return f': {function}() does not take a value of type {given}' if function and given else ''
