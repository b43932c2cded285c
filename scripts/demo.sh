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
CONTROL=
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

    say 'Sign in. In this emulated cloud, the code has already been entered for you.'
    run 'az login --use-device-code --query "[].{subscription:name, user:user.name}" -o table'

    say 'Who does the token speak for? A role assignment asks for the object ID.'
    run 'az dicom token show-claims -o table'
    run 'az dicom token show-claims --query objectId -o tsv'

    say 'Put a token in a variable. Never show it whole: this is its start.'
    run 'token=$(az dicom token issue --query accessToken -o tsv)'
    run 'echo "${token:0:12}... (${#token} characters)"'

    say 'Send it with curl, on standard input: others can see command lines.'
    run "echo \"Authorization: Bearer \$token\" | \\
      curl -sS -H @- -w '\\nHTTP %{http_code}\\n' \"\$DICOM_SERVICE_URL/v2/changefeed?limit=2&includeMetadata=false\""

    say 'The same without a variable: az passes the header to curl.'
    run "az dicom token issue --format header | \\
      curl -sS -H @- -w '\\nHTTP %{http_code}\\n' \"\$DICOM_SERVICE_URL/v2/changefeed/latest?includeMetadata=false\""

    say 'No token at all: the newest events. From here on, the service is a default.'
    run 'az config set defaults.dicom_service_url="$DICOM_SERVICE_URL" --only-show-errors'
    run 'az dicom changefeed --tail 5 -o table'

    say 'The first two events as JSON.'
    run 'az dicom changefeed --max-items 2'

    say 'How many events per hour?'
    run 'az dicom changefeed --since 10h --count-by hour -o table'

    kill_an_export
    fix_what_check_access_finds

    say 'Sign out. Nothing is left.'
    run 'az logout'
    run 'az dicom token issue || echo "exit $?"'

    say 'That was it. What az kept is in .demo/; `make clean` removes it.'
}

kill_an_export() {
    say 'Export every event from a service that is slow now, and kill the export.'
    slow_down 0.2
    set -m      # the job is a process group, which can be killed whole
    run "az dicom changefeed --checkpoint $FOLDER/checkpoint --output-file $FOLDER/feed.jsonl --concurrency 1 2>/dev/null &"
    set +m
    wait_for_lines 500
    run 'kill -9 -$!    # the minus sign: az and all that it started'
    wait $! 2>/dev/null || true
    slow_down 0
    run "wc -l <$FOLDER/feed.jsonl"

    say 'The same command continues. Each event is in the file exactly once.'
    run "az dicom changefeed --checkpoint $FOLDER/checkpoint --output-file $FOLDER/feed.jsonl"
    run "wc -l <$FOLDER/feed.jsonl"
    run "sort -u $FOLDER/feed.jsonl | wc -l"
    run 'az dicom changefeed --count-by day --query "sum([].events)"'
}

fix_what_check_access_finds() {
    local names='--resource-group imaging --workspace-name contoso --dicom-service-name imaging'

    say 'Sign in as an application that has no role yet. Find out what it lacks.'
    run "export AZURE_CONFIG_DIR=$PWD/$FOLDER/application"
    run "$(sed -n 's/^# \(az login --service-principal .*\)/\1/p' "$FOLDER/emulator.log") --output none"
    run "az dicom check-access $names -o table || echo \"exit \$?\""
    run "fix=\$(az dicom check-access $names --query \"[?verdict=='failed'].command\" -o tsv 2>/dev/null) || true"

    say 'Robin may assign roles, and runs that command.'
    run "export AZURE_CONFIG_DIR=$PWD/$FOLDER/azure"
    run 'eval "$fix --output none"'

    say 'Now the application may read.'
    run "AZURE_CONFIG_DIR=$PWD/$FOLDER/application az dicom check-access $names -o table"
}

slow_down() {
    command curl -sS --noproxy '*' --data "{\"seconds\": $1}" "$CONTROL/latency"
}

wait_for_lines() {
    for _ in {1..3000}; do      # five minutes
        [ "$(cat "$FOLDER/feed.jsonl" 2>/dev/null | wc -l)" -ge "$1" ] && return
        sleep 0.1
    done
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
    say 'Start an emulated Azure whose DICOM service has 3,000 events.'
    run "$PYTHON -m tests.emulator --events 3000 --env-file $FOLDER/emulator.env >$FOLDER/emulator.log &"
    EMULATOR=$!
    for _ in {1..3000}; do      # five minutes
        [ -e "$FOLDER/emulator.env" ] && break
        kill -0 "$EMULATOR" 2>/dev/null || break
        sleep 0.1
    done
    CONTROL=$(sed -n 's/.* listens on \(http[^ ]*\)\. .*/\1/p' "$FOLDER/emulator.log")/_emulator
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
