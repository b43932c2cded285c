"""The active cloud's hosts and audiences, for the rule in `dicomfeed/trust.py`, and what each of its verdicts says.

Which URL is meant is decided in `_service`.
"""

from __future__ import annotations

from typing import Any

from azure.cli.core.azclierror import InvalidArgumentValueError

from dicomfeed.trust import Cloud, Origin, Verdict, cloud_named, cloud_of_host, judge, parse_origin


def active_cloud(cli_ctx: Any) -> Cloud:
    """What is documented of the DICOM service in the active cloud."""
    return cloud_named(cli_ctx.cloud.name)


def known_audiences(cli_ctx: Any) -> frozenset[str]:
    """The audiences of the active cloud's own endpoints, of which a custom cloud may have any."""
    values = vars(cli_ctx.cloud.endpoints).values()
    return frozenset(value for value in values if isinstance(value, str) and value.lower().startswith('https://'))


def origin_of(url: str, *, source: str) -> Origin:
    """The scheme, host and port of a service URL.

    :param source: where the URL comes from, as a person calls it.
    :raises InvalidArgumentValueError: for a text that is no service URL.
    """
    origin = parse_origin(url)
    if origin is None:
        raise InvalidArgumentValueError(
            "The service URL isn't valid.",
            recommendation=f'It comes from {source}, and looks like '
            'https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com, without user name, query or fragment; an '
            'international host name is written in its xn-- form.',
        )
    return origin


def refuse_untrusted(origin: Origin, audience: str, *, cli_ctx: Any, is_typed: bool, source: str) -> None:
    """Refuse to send a token for the audience to a host that may not have it.

    :param is_typed: whether a person typed both the URL and the audience.
    :raises InvalidArgumentValueError: with the reason.
    """
    cloud = active_cloud(cli_ctx)
    verdict = judge(origin, audience, cloud=cloud, is_typed=is_typed, known_audiences=known_audiences(cli_ctx))
    if verdict is Verdict.NOT_HTTPS:
        raise InvalidArgumentValueError(
            'A token is sent over https only.',
            recommendation=f'Write the service URL, which comes from {source}, with https://.',
        )
    if verdict is Verdict.NOT_A_PRIVATE_AUDIENCE:
        raise InvalidArgumentValueError(
            "The audience is one of Microsoft's own services, and its tokens go to no other host.",
            recommendation='Give --resource the audience that is registered for this server alone, such as '
            'api://private-dicom, or correct the URL in --service-url.',
        )
    if verdict is Verdict.OTHER_HOST:
        raise InvalidArgumentValueError(
            'The service URL does not lead to a DICOM service of the active cloud.',
            recommendation=_other_host_advice(origin, cloud, source),
        )


def _other_host_advice(origin: Origin, cloud: Cloud, source: str) -> list[str]:
    other = cloud_of_host(origin.host)
    if other and other != cloud:
        return [
            f'It belongs to the cloud {other.name}, but {cloud.name} is active. Switch, then sign in there:',
            f'az cloud set --name {other.name}',
        ]
    return [
        f'The URL comes from {source}, and the active cloud is {cloud.name}. Correct the URL, or choose the cloud: '
        'az cloud set --name NAME',
        'For a server of your own, type --service-url together with --resource and the audience that this server '
        'alone accepts.',
    ]
