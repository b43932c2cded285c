r"""The help texts of the groups and commands. Every example runs as it is written here.

Texts are literal blocks of lines that fit 80 columns: az folds what is longer than 100, at hyphens too, whatever the
terminal has, and an example could then not be copied. A long example continues its lines with `\`.
"""

from __future__ import annotations

from knack.help_files import helps

from azext_dicomtoken._formats import FORMATS

__all__ = ['helps']

_FORMATS = '\n'.join(f'      {name:13}  {entry.help}' for name, entry in FORMATS.items())

helps['dicom'] = r"""
type: group
short-summary: Get tokens for the DICOM service of Azure Health Data Services, read its change feed, and connect tools.
long-summary: |
    Name the service once. All commands then use it:

    az config set \
    defaults.dicom_service_url=contoso-imaging.dicom.azurehealthcareapis.com

    In place of this default you can set the environment variable
    AZURE_DEFAULTS_DICOM_SERVICE_URL, or type --service-url, or
    --workspace-name and --dicom-service-name, with each command.

    Start with `az dicom check-access`. It shows whether you can read the
    service, and what to do if you can't.
"""

helps['dicom token'] = r"""
type: group
short-summary: Get access tokens for the DICOM service, and show their claims.
"""

helps['dicom token issue'] = rf"""
type: command
short-summary: Get an access token for the DICOM service from the existing az login.
long-summary: |
    The output contains credentials that you must protect. Do not include
    them in your code, and do not check them into source control.

    The default output is an object with the keys of
    `az account get-access-token`, and also resource, expiresOnUtc and
    expiresIn (seconds). The other formats are written directly to standard
    output, and refuse --query and -o. The values of --format are:
{_FORMATS}

    The extension has no token cache of its own. Tokens are only in the cache
    of az.
examples:
  - name: Get a token and its expiry.
    text: az dicom token issue
  - name: Get the bare token.
    text: az dicom token issue --query accessToken -o tsv
  - name: Send a request with curl, without a token on any command line.
    text: |-
        az dicom token issue --format header | curl -H @- \
        -G -d limit=1 -d includeMetadata=false \
        https://contoso-imaging.dicom.azurehealthcareapis.com/v2/changefeed
  - name: Set an environment variable in sh, bash or zsh.
    text: eval "$(az dicom token issue --format env)"
  - name: Set an environment variable in PowerShell.
    text: |-
        az dicom token issue --format powershell |
        Out-String | Invoke-Expression
  - name: Get a token that is valid for at least 30 minutes.
    text: az dicom token issue --min-validity 30m
  - name: Write the token to a file that only you can read.
    text: az dicom token issue --format token --output-file dicom.token
  - name: Get a token from another tenant.
    text: az dicom token issue --tenant contoso.onmicrosoft.com
  - name: Get a token for the audience that Azure Resource Manager returns.
    text: |-
        az dicom token issue --resource-group imaging \
        --workspace-name contoso --dicom-service-name imaging
"""

helps['dicom token show-claims'] = r"""
type: command
short-summary: Show the identity and the claims in an access token.
long-summary: |
    Read the token that `az dicom token issue` would return, or a token from
    a file: object ID, tenant, audience, roles and expiry. The claims are
    decoded, not verified. The token itself is never shown.

    In a role assignment, the principal type of a managedIdentity is
    ServicePrincipal.
examples:
  - name: Show the identity and the claims as a table.
    text: az dicom token show-claims -o table
  - name: Get the object ID for a role assignment. This works for every kind of login.
    text: az dicom token show-claims --query objectId -o tsv
  - name: Get the object ID and the tenant on one line, for a script.
    text: |-
        az dicom token show-claims \
        --query "[objectId,tenantId] | join(' ', @)" -o tsv
  - name: Read the token from standard input.
    text: |-
        az dicom token issue --format token |
        az dicom token show-claims --token-file -
"""

helps['dicom check-access'] = r"""
type: command
short-summary: Check access to a DICOM service step by step, and print the command that fixes the first failure.
long-summary: |
    The steps are sign-in, service, token, host, tls, clock and feed. Each
    one is passed, failed, or skipped after the first failure. The failed row
    and standard error say what the failure means and how to fix it.

    If a proxy is in force, host and tls are checked through it. The command
    changes nothing, and reads only the newest event of the change feed.

    Exit code 0 if all steps pass, 1 otherwise.
examples:
  - name: Check the default service.
    text: az dicom check-access -o table
  - name: Check a service by its names.
    text: |-
        az dicom check-access -o table \
        --workspace-name contoso --dicom-service-name imaging
  - name: Get a complete command, with the scope from Azure Resource Manager.
    text: |-
        az dicom check-access --resource-group imaging \
        --workspace-name contoso --dicom-service-name imaging
  - name: Print only the command that fixes the failure.
    text: az dicom check-access --query "[?verdict=='failed'].command" -o tsv
"""

helps['dicom changefeed'] = r"""
type: command
short-summary: Read the change feed of a DICOM service.
long-summary: |
    Without options, list the first events of the feed. A list has at most
    --max-items events. If there are more, the command that continues it is
    printed. With --stream or --output-file, write every event, one line of
    JSON each, as the service wrote it. With --follow, continue with new
    events as they arrive.

    A time window is in order of time, everything else in order of sequence
    number. A missing sequence number (a gap) that can still fill is never
    skipped silently: --follow waits for it, a run with --checkpoint ends
    before it, and any other run says through which sequence number it is
    complete.

    With --stable-after, report studies instead of events. A study is stable
    when it had no event for that time. No protocol can promise that a study
    is complete: if more events arrive, the study is reported again, with the
    new events only. A row appears this time plus --settle plus five minutes
    after the last event. A study that never pauses is reported once a day,
    with stable false. Memory grows with the events of the studies that are
    not stable yet. A run with --checkpoint reads again from the first event
    of the oldest of them.

    Events contain identifiers of patients' images, and with
    --include-metadata health data (PHI). Protect what you write. With
    --include-field, only the attributes that you name are written. With
    --match, only events whose attributes match; never those of deleted
    instances, which have none.
examples:
  - name: Write all events since yesterday to a file.
    text: az dicom changefeed --since 1d --output-file events.jsonl
  - name: Watch for new events.
    text: az dicom changefeed --follow -o table
  - name: Show what was deleted in the last week.
    text: az dicom changefeed --since 1w --action Delete --stream -o table
  - name: Show the 10 newest events.
    text: az dicom changefeed --tail 10 -o table
  - name: Append only events added since the previous run, each exactly once.
    text: |-
        az dicom changefeed --since 1d --only-show-errors \
        --checkpoint feed.checkpoint --output-file feed.jsonl
  - name: Append new events as they arrive. After a stop, the same command continues.
    text: |-
        az dicom changefeed --follow \
        --checkpoint feed.checkpoint --output-file feed.jsonl
  - name: List the studies of the last day that have arrived.
    text: az dicom changefeed --since 1d --stable-after 10m -o table
  - name: Print the studies that became stable since the previous run.
    text: |-
        az dicom changefeed --since 1d --stable-after 10m --stream \
        --checkpoint studies.checkpoint --query studyInstanceUid -o tsv
  - name: Export the whole feed to a compressed file, and write a summary.
    text: |-
        az dicom changefeed \
        --output-file feed.jsonl.gz --summary-file summary.json
  - name: Count the events of the last two days by hour, as a table with bars.
    text: az dicom changefeed --since 2d --count-by hour -o table
  - name: List the events of a time window. The end is exclusive.
    text: |-
        az dicom changefeed \
        --since 2026-01-31T08:00:00Z --until 2026-01-31T09:00:00Z
  - name: Show the newest event.
    text: az dicom changefeed --latest
  - name: Show the event with a given sequence number.
    text: az dicom changefeed --sequence 42
  - name: Choose fields. Double quotes around the query work in every shell.
    text: |-
        az dicom changefeed --follow \
        --query "[sequence,action,sopInstanceUid]" -o tsv
  - name: Print which instances of a study were deleted.
    text: |-
        az dicom changefeed --stream --action Delete \
        --study-instance-uid 1.2.826.0.1.3680043.8.498.0 \
        --query "sopInstanceUid" -o tsv
  - name: Pass the metadata of the newest events to another program.
    text: |-
        az dicom changefeed --tail 10 --include-metadata --stream |
        jq -c .metadata
  - name: List new CT instances, without any other attribute of the patient.
    text: |-
        az dicom changefeed --since 1d --action Create --match Modality=CT \
        --stream -o table
  - name: Add two attributes to each event, and no other metadata.
    text: az dicom changefeed --tail 10 --include-field Modality StudyDate
  - name: Name the service by its URL.
    text: |-
        az dicom changefeed -o table \
        --service-url https://contoso-imaging.dicom.azurehealthcareapis.com
  - name: Name the service by its workspace and its own name.
    text: |-
        az dicom changefeed -o table \
        --workspace-name contoso --dicom-service-name imaging
"""

helps['dicom proxy'] = r"""
type: command
short-summary: Give DICOMweb tools a local address for a DICOM service.
long-summary: |
    A viewer, archive or script that cannot sign in to Microsoft Entra ID
    sends its requests to the local address. The proxy adds the access token
    and renews it. The tool needs no credentials of its own. Every tool acts
    as you: the service logs the identity of the az login.

    Once it listens, the command prints the base URL
    http://127.0.0.1:PORT/SECRET. The DICOMweb root is this URL plus /v2. The
    secret keeps out other users of the machine and pages in a browser. Treat
    it like a password. A tool that can send a header can send
    Authorization: Bearer SECRET to http://127.0.0.1:PORT instead.

    Reading is always allowed. Each group of writes must be allowed with
    --allow:
      store      store and replace instances
      update     bulk update
      delete     delete studies, series and instances
      tags       change extended query tags
      export     copy images to a storage account
      workitems  create and change workitems

    Nothing of a request is logged. --verbose shows its kind and size. Press
    Ctrl-C to end the proxy.
examples:
  - name: Give tools an address for the default service.
    text: az dicom proxy
  - name: Let an archive store images, on a port that stays the same.
    text: |-
        az dicom proxy --allow store --port 18042 --secret-file proxy.secret
  - name: Let a viewer in the browser at http://localhost:3000 read.
    text: az dicom proxy --allow-origin http://localhost:3000
  - name: Give the address to a container, and end after one hour without requests.
    text: |-
        az dicom proxy --allow-host host.docker.internal \
        --url-file proxy.url --idle-timeout 1h
"""
