#!/bin/sh
# Runs a file of SQL from a CI job: logs in as a service, asks for access, waits for whoever has to approve, runs the file and
# gives the access back. Nobody has to type anything; the exit code says how it went (docs/cli.md).
#
#   ci.sh <database> <profile> <duration> <file.sql>
#
#   JITDB_SERVER   address of the server
#   JITDB_SERVICE  the service's name below identity.services in jitdb.yaml
#   JITDB_KEY      file with its private key (an ES256 JWK), or
#   JITDB_TOKEN    file with the token that the CI system made for this job
#   JITDB_REASON   what approvers and the audit read, such as the address of the job
set -eu

database=$1 profile=$2 duration=$3 file=$4

# Each job is a device of its own: it finds nothing of another job, and leaves nothing.
JITDB_HOME=$(mktemp -d)
export JITDB_HOME
grant=
finish() {
  if [ -n "$grant" ]; then
    jitdb release "$grant" || true
  fi
  jitdb logout || true
  rm -rf "$JITDB_HOME"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "${JITDB_KEY:-}" ]; then
  jitdb login --service "$JITDB_SERVICE" --key "$JITDB_KEY"
else
  jitdb login --service "$JITDB_SERVICE" --token "$JITDB_TOKEN"
fi

# By its id, as another job of the same service may have a grant on the same database.
request=$(jitdb request "$database" --profile "$profile" --for "$duration" \
  --reason "${JITDB_REASON:-}" --json)
grant=$(printf '%s' "$request" | sed -n 's/.*"grantId": *"\(grt_[a-z0-9]*\)".*/\1/p')

jitdb sql "$grant" -f "$file"
