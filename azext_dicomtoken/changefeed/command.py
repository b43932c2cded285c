"""`az dicom changefeed`: one run, from its checked options to a result or a stream.

az imports this file for -h too, so it loads the reader only when the command runs.
"""

from __future__ import annotations

from typing import Any


def changefeed(cmd: Any, **kwargs: Any) -> Any:
    """Run the command with what its validator made of the typed options, which az hands in as well.

    They are taken together because they are read in one place, `options.py`; az does not look at `kwargs`.
    """
    from azext_dicomtoken._errors import explained
    from azext_dicomtoken._invocation import Invocation
    from azext_dicomtoken._signals import Interrupted, Interruption
    from azext_dicomtoken.changefeed.session import open_session

    options = kwargs['options']
    interruption = Interruption()
    with interruption.raising():
        try:
            session = open_session(Invocation(cmd.cli_ctx), options)
            with explained(session.access, files=options.files):
                if not options.is_streaming:
                    from azext_dicomtoken.changefeed.results import result_of

                    return result_of(session)
                from azext_dicomtoken.changefeed.stream import stream

                return stream(session, interruption)
        except Interrupted as end:
            raise SystemExit(0 if options.ends_by_signal else end.exit_code) from None
