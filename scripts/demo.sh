#!/usr/bin/env bash
# The main job, step by step, each command before its result. `make demo` runs it.
#
# Azure is an emulator on 127.0.0.1 that this script starts and ends; az has its configuration, its login and its
# extensions in .demo/, so that your own stay as they are. Needs AZ (the az to use) and PYTHON (one that has what
# tests/emulator/requirements.txt names).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${AZ:=az}" "${PYTHON:=python3}"

FOLDER=.demo
EMULATOR=
BOUND=$(command -v timeout || true)     # macOS has none

main() {
    exec 2>&1       # what az says to the user belongs between the commands, also in a log
    trap end_emulator EXIT
    begin_afresh
    start_emulator
    walk_through
}

walk_through() {
    say 'Install the extension. It is one wheel, and az has all that it needs.'
    run "az extension add --yes --source $WHEEL"
    run "az version --query extensions"

    say 'Sign in. This cloud is emulated, so the code that az shows you has already been entered for you.'
    run 'az login --use-device-code --query "[].{subscription:name, user:user.name}" -o table'

    say 'Whom does a token for the DICOM service speak for? The object ID is what a role assignment asks for.'
    run 'az dicom token show-claims -o table'
    run 'az dicom token show-claims --query objectId -o tsv'

    say 'A token in a variable, for whatever else needs one. Be careful where you show it: this is the start of it.'
    run 'token=$(az dicom token issue --query accessToken -o tsv)'
    run 'echo "${token:0:12}... (${#token} characters)"'

    say 'curl with that token. It comes on standard input, because the process list shows command lines to all.'
    run "echo \"Authorization: Bearer \$token\" | \\
      curl -sS -H @- -w '\\nHTTP %{http_code}\\n' \"\$DICOM_SERVICE_URL/v2/changefeed?limit=2&includeMetadata=false\""

    say 'The same without a variable: the header goes straight from az to curl.'
    run "az dicom token issue --format header | \\
      curl -sS -H @- -w '\\nHTTP %{http_code}\\n' \"\$DICOM_SERVICE_URL/v2/changefeed/latest?includeMetadata=false\""

    say 'No token to handle at all: the change feed as a table. The service is a default from here on.'
    run 'az config set defaults.dicom_service_url="$DICOM_SERVICE_URL" --only-show-errors'
    run 'az dicom changefeed --tail 5 -o table'

    say 'And as JSON: the first two events.'
    run 'az dicom changefeed --max-items 2'

    say 'After a sign-out nothing is left.'
    run 'az logout'
    run 'az dicom token issue || echo "exit $?"'

    say 'That was it. What az kept is in .demo/; `make clean` removes it.'
}

say() {
    printf '\n\033[1m# %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi
}

# Show a command as one would type it, and then do it.
run() {
    printf '$ %s\n' "$1"
    eval "$1"
}

# Bounded, so that a demo that nobody watches ends.
az() {
    ${BOUND:+"$BOUND" --foreground 300} "$AZ" "$@"
}

curl() {
    command curl --max-time 60 "$@"
}

begin_afresh() {
    rm -rf "$FOLDER"
    mkdir -p "$FOLDER"
    WHEEL=$FOLDER/$(basename "$("$PYTHON" scripts/build_wheel.py "$FOLDER")")
    # Whatever this machine has set must not lead az elsewhere.
    unset ${!AZURE_@} ${!IDENTITY_@} ${!MSI_@} ACC_CLOUD HTTP_PROXY http_proxy ALL_PROXY all_proxy
    export AZURE_CONFIG_DIR=$PWD/$FOLDER/azure AZURE_EXTENSION_DIR=$PWD/$FOLDER/extensions
    export AZURE_CORE_COLLECT_TELEMETRY=false AZURE_CORE_LOGIN_EXPERIENCE_V2=off AZURE_CORE_SURVEY_MESSAGE=false
}

start_emulator() {
    say 'Start an emulated Azure with 300 events in its DICOM service, and lead this shell to it.'
    run "$PYTHON -m tests.emulator --events 300 --env-file $FOLDER/emulator.env >$FOLDER/emulator.log &"
    EMULATOR=$!
    for _ in {1..3000}; do      # five minutes
        [ -e "$FOLDER/emulator.env" ] && break
        kill -0 "$EMULATOR" 2>/dev/null || break
        sleep 0.1
    done
    [ -e "$FOLDER/emulator.env" ] || { cat "$FOLDER/emulator.log"; echo 'The emulator did not start.'; exit 1; }
    run ". $FOLDER/emulator.env"
    run 'echo "$DICOM_SERVICE_URL"'
}

end_emulator() {
    if [ -n "$EMULATOR" ]; then
        kill "$EMULATOR" 2>/dev/null && wait "$EMULATOR" || true
    fi
}

main
