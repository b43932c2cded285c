"""What the commands say of themselves. Every example runs as it is written here."""
from __future__ import annotations

from knack.help_files import helps

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
    Formats other than json go straight to standard output, so --query and -o have no place there.
examples:
  - name: Get a token and when it expires.
    text: az dicom token issue
  - name: Get the bare token.
    text: az dicom token issue --query accessToken -o tsv
  - name: Ask the service with curl, with no token on any command line.
    text: >
        az dicom token issue --format header |
        curl -H @- https://contoso-imaging.dicom.azurehealthcareapis.com/v2/changefeed/latest
  - name: Put the token into the environment of a POSIX shell.
    text: eval "$(az dicom token issue --format env)"
  - name: Put the token into the environment of PowerShell.
    text: az dicom token issue --format powershell | Out-String | Invoke-Expression
  - name: Get a token that lasts at least half an hour.
    text: az dicom token issue --min-validity 30m
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
    audience, roles and expiry. The claims are decoded and not verified. The token itself is not shown.
examples:
  - name: Show whom the token speaks for.
    text: az dicom token show-claims -o table
  - name: Get the object ID that a role assignment needs, for any kind of login.
    text: az dicom token show-claims --query objectId -o tsv
  - name: Read a token from standard input.
    text: az dicom token issue --format token | az dicom token show-claims --token-file -
"""
