"""`az dicom token issue` and `az dicom token show-claims`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TextIO

from azext_dicomtoken._formats import DEFAULT_VARIABLE_NAME, FORMATS
from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._service import AudienceUnknown, resolve_service

if TYPE_CHECKING:
    from azext_dicomtoken._login import IssuedToken, Login


def issue(
    cmd: Any,
    *,
    tenant: str | None = None,
    token_format: str = 'json',
    variable_name: str | None = None,
    min_validity: float | None = None,
    force_refresh: bool = False,
    output_file: str | None = None,
    overwrite: bool = False,
    **kwargs: Any,
) -> dict[str, Any] | None:
    service = resolve_service(Invocation(cmd.cli_ctx), **kwargs, url_required=False)
    issued = _login(cmd, service.audience, tenant).get_token(
        force_refresh=force_refresh, min_validity_seconds=min_validity or 0
    )
    if min_validity:
        _warn_when_short(issued, min_validity)
    result = _as_result(issued, service.audience)
    if token_format == 'json' and not output_file:
        return result
    text = _render(result, token_format, variable_name)
    _write(text, output_file, overwrite=overwrite, stream=Invocation(cmd.cli_ctx).out_file)
    return None


def show_claims(
    cmd: Any,
    *,
    tenant: str | None = None,
    token_file: str | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    from azext_dicomtoken._claims import describe
    from azext_dicomtoken._token_file import read_token

    try:
        audience: str | None = resolve_service(Invocation(cmd.cli_ctx), **kwargs, url_required=False).audience
    except AudienceUnknown:
        if not token_file:  # a token that is already there can be read all the same
            raise
        audience = None
    token = read_token(token_file) if token_file else _login(cmd, str(audience), tenant).get_token().token
    return describe(_decode(token), expected_audience=audience, now=time.time())


def _login(cmd: Any, audience: str, tenant: str | None) -> Login:
    from azext_dicomtoken._login import Login  # az reads this module for -h too, which needs no Profile

    return Login(Invocation(cmd.cli_ctx), audience=audience, tenant=tenant)


def _warn_when_short(issued: IssuedToken, min_validity_seconds: float) -> None:
    left = int(issued.expires_on - time.time())
    if left < min_validity_seconds:
        from knack.log import get_logger

        get_logger(__name__).warning(
            'Even a new token lasts only %d seconds; --min-validity asked for %d.', left, min_validity_seconds
        )


def _as_result(issued: IssuedToken, audience: str) -> dict[str, Any]:
    """The keys of `az account get-access-token` with its values, and three more."""
    from datetime import datetime

    result = {
        'tokenType': issued.token_type,
        'accessToken': issued.token,
        'expires_on': issued.expires_on,
        'expiresOn': datetime.fromtimestamp(issued.expires_on).strftime('%Y-%m-%d %H:%M:%S.%f'),
        'tenant': issued.tenant,
        'resource': audience,
        'expiresOnUtc': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(issued.expires_on)),
        'expiresIn': int(issued.expires_on - time.time()),
    }
    if issued.subscription:  # core leaves it out when a tenant is given
        result['subscription'] = issued.subscription
    return result


def _render(result: dict[str, Any], token_format: str, variable_name: str | None) -> str:
    render = FORMATS[token_format].render
    if render is None:
        import json

        return json.dumps(result, ensure_ascii=False, indent=2, sort_keys=True) + '\n'
    try:
        return render(result['accessToken'], result['expires_on'], variable_name or DEFAULT_VARIABLE_NAME) + '\n'
    except ValueError as error:
        from azure.cli.core.azclierror import AzureResponseError

        raise AzureResponseError(str(error), recommendation='Use another --format.') from None


def _write(text: str, output_file: str | None, *, overwrite: bool, stream: TextIO | None) -> None:
    from azext_dicomtoken._output import write_private_file
    from azext_dicomtoken._stdout import write_stdout

    if output_file:
        write_private_file(output_file, text, overwrite=overwrite)
    else:
        write_stdout(text, stream=stream)


def _decode(token: str) -> dict[str, Any]:
    from azext_dicomtoken._claims import NotAToken, decode_unverified

    try:
        return decode_unverified(token)
    except NotAToken as error:
        from azure.cli.core.azclierror import InvalidArgumentValueError

        raise InvalidArgumentValueError(
            f'The claims in this token cannot be read: {error}.',
            recommendation='A readable token is a JSON Web Token: three parts with dots between them.',
        ) from None
