"""What the commands say of themselves. Every example runs as it is written here."""

from __future__ import annotations

from knack.help_files import helps

__all__ = ['helps']

helps['dicom'] = """
type: group
short-summary: Work with the DICOM service of Azure Health Data Services.
"""

helps['dicom token'] = """
type: group
short-summary: Get access tokens for the DICOM service and see what they say.
"""

helps['dicom token issue'] = """
type: command
short-summary: Get an access token for the DICOM service.
long-summary: >
    The token comes from the login that az already has, and az's cache is the only place where it is kept.
    The output includes credentials that you must protect. Be sure that you do not include these credentials in your
    code or check the credentials into your source control.


    The object has the keys of `az account get-access-token`, and resource, expiresOnUtc and expiresIn besides.
    The other formats are written straight to standard output, and refuse --query and -o.
examples:
  - name: Get a token and when it expires.
    text: az dicom token issue
  - name: Get the bare token.
    text: az dicom token issue --query accessToken -o tsv
  - name: Ask the service with curl, with no token on any command line.
    text: >-
        az dicom token issue --format header |
        curl -H @- https://contoso-imaging.dicom.azurehealthcareapis.com/v2/changefeed/latest
  - name: Put the token into the environment of a POSIX shell.
    text: eval "$(az dicom token issue --format env)"
  - name: Put the token into the environment of PowerShell.
    text: az dicom token issue --format powershell | Out-String | Invoke-Expression
  - name: Get a token that lasts at least half an hour.
    text: az dicom token issue --min-validity 30m
  - name: Get a token of another tenant.
    text: az dicom token issue --tenant contoso.onmicrosoft.com
  - name: Write a token to a file that only you may read.
    text: az dicom token issue --format token --output-file dicom.token
  - name: Get a token with the audience that Azure Resource Manager names for a service.
    text: az dicom token issue --resource-group imaging --workspace-name contoso --dicom-service-name imaging
"""

helps['dicom token show-claims'] = """
type: command
short-summary: Show whom a token for the DICOM service speaks for.
long-summary: >
    Shows the claims of the token that `az dicom token issue` gives, or of one read from a file: object ID, tenant,
    audience, roles and expiry. The claims are decoded and not verified. The token itself is not shown. A role
    assignment for a managedIdentity has the principal type ServicePrincipal.
examples:
  - name: Show whom the token speaks for.
    text: az dicom token show-claims -o table
  - name: Get the object ID that a role assignment needs, for any kind of login.
    text: az dicom token show-claims --query objectId -o tsv
  - name: Get the object ID and the tenant in one line, for a script.
    text: az dicom token show-claims --query "[objectId,tenantId] | join(' ', @)" -o tsv
  - name: Read a token from standard input.
    text: az dicom token issue --format token | az dicom token show-claims --token-file -
"""

helps['dicom check-access'] = """
type: command
short-summary: Check the way to the change feed of a DICOM service, step by step.
long-summary: >
    The steps are sign-in, service, token, host, tls and feed; each has passed, failed or been skipped after one that
    failed. What a failure means, and the command that fixes it, stand in its row and on standard error. Where a proxy
    is in force, host and tls are judged through it. Nothing is changed, and of the feed only the newest event is asked
    for.


    The exit code is 0 when all steps pass, else 1.
examples:
  - name: Check the service that is configured as the default.
    text: az dicom check-access -o table
  - name: Check a service by its names.
    text: az dicom check-access --workspace-name contoso --dicom-service-name imaging -o table
  - name: Let Azure Resource Manager say where the service is, for a command with nothing left to fill in.
    text: az dicom check-access --resource-group imaging --workspace-name contoso --dicom-service-name imaging
  - name: Print only the command that fixes what failed.
    text: az dicom check-access --query "[?verdict=='failed'].command" -o tsv
"""

helps['dicom changefeed'] = """
type: command
short-summary: Read the change feed of a DICOM service.
long-summary: >
    Without a streaming option the command returns a list of at most --max-items events, and says how to go on where
    there are more. With --stream, --output-file or --follow it writes every event, one line of JSON each, as the
    service wrote it.


    A window of time comes in the order of time, everything else in the order of sequence numbers. A number that is
    missing and may still appear is never silently passed over: --follow waits for it, a run with --checkpoint ends
    before it, any other run says through which number it is complete.


    Events hold identifiers of patients' images, and with --include-metadata health data. Protect what you write.
examples:
  - name: See when the feed was busy within the last two days, as a table with bars.
    text: az dicom changefeed --since 2d --count-by hour -o table
  - name: List the first events of the feed as a table.
    text: az dicom changefeed --service-url https://contoso-imaging.dicom.azurehealthcareapis.com -o table
  - name: List the ten newest events of a service that is known by its names.
    text: az dicom changefeed --workspace-name contoso --dicom-service-name imaging --tail 10
  - name: Show the newest event, of a service that is configured as the default.
    text: az dicom changefeed --latest
  - name: Show one event by its sequence number.
    text: az dicom changefeed --sequence 42
  - name: List the first events of a window of time, its end not included.
    text: az dicom changefeed --start-time 2026-01-31T08:00:00Z --end-time 2026-01-31T09:00:00Z
  - name: Stream the whole of the last day, each event as one line.
    text: az dicom changefeed --since 1d --stream
  - name: Print which instances of a study were deleted. Double quotes around the query suit every shell.
    text: >-
        az dicom changefeed --action Delete --study-instance-uid 1.2.826.0.1.3680043.8.498.0
        --stream --query "sopInstanceUid" -o tsv
  - name: Pass the metadata of the newest events to another program.
    text: az dicom changefeed --tail 10 --include-metadata --stream | jq -c .metadata
  - name: Export the whole feed into a compressed file.
    text: az dicom changefeed --output-file feed.jsonl.gz --summary-file summary.json
  - name: Run from cron, write what is new since the last run, each event once. The first run begins a day back.
    text: >-
        az dicom changefeed --since 1d --checkpoint feed.checkpoint --output-file feed.jsonl --only-show-errors
  - name: Follow the feed, sequence number, action and instance of each event as one line.
    text: az dicom changefeed --follow --query "[sequence,action,sopInstanceUid]" -o tsv
  - name: Follow the feed into a file, and after an interruption go on where it ended.
    text: az dicom changefeed --follow --checkpoint feed.checkpoint --output-file feed.jsonl
"""

helps['dicom proxy'] = """
type: command
short-summary: Give DICOMweb tools a local address for a DICOM service.
long-summary: >
    A viewer, archive or script that cannot sign in to Microsoft Entra ID sends its requests to the local address. The
    proxy adds the access token and renews it, so the tool needs no credentials of its own. It acts in your name: the
    service's log shows the identity of az for every tool.


    Once it listens, the command prints the base URL, http://127.0.0.1:PORT/SECRET; the DICOMweb root is that and /v2.
    The secret in it keeps other users of the machine and pages in a browser out: treat it like a password. A tool that
    can send a header may send Authorization: Bearer SECRET to http://127.0.0.1:PORT instead.


    Reading is always allowed, writing only with --allow: store (store and replace instances), update (bulk update),
    delete (studies, series, instances), tags (extended query tags), export (copy images to a storage account),
    workitems. Nothing of a request is logged; --verbose shows its kind and its size. Ctrl-C ends the proxy.
examples:
  - name: Give tools an address, of a service that is configured as the default.
    text: az dicom proxy
  - name: Let an archive store images, on a port that stays the same.
    text: az dicom proxy --allow store --port 8042 --secret-file proxy.secret
  - name: Let a viewer that runs in the browser at http://localhost:3000 read.
    text: az dicom proxy --allow-origin http://localhost:3000
  - name: Give the address to a container, and end after an hour without requests.
    text: az dicom proxy --allow-host host.docker.internal --url-file proxy.url --idle-timeout 1h
"""
