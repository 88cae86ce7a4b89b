#!/usr/bin/env bash
# Starts docker-compose.policy.yml and tries what only a container engine can show: that it comes up, that one call passes and
# one is denied, who reaches the admin port, OPA, NATS and the keys, whose the volumes are, that it stops in time and that the
# audit log goes on after a restart. Prints a table; exit 1 if something is not as it must be, 2 where it cannot be tried.
#
#   scripts/smoke-compose.sh [--nats] [--keep]     --nats: with the profile `nats`, two controllers; --keep: leave it running (as one that ran before)
#
# Needs Docker with Compose, or Podman with a compose provider (`podman compose`), and curl. ENGINE=docker|podman chooses one.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0"
}
fail() {
  echo "smoke-compose.sh: $1" >&2
  exit "${2:-1}"
}

nats=false keep=false
for argument in "$@"; do
  case $argument in
    --nats) nats=true ;;
    --keep) keep=true ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument \"$argument\"" 2 ;;
  esac
done

# The first engine that answers and has Compose.
engine=
for candidate in ${ENGINE:-docker podman}; do
  if command -v "$candidate" >/dev/null && "$candidate" info >/dev/null 2>&1 && "$candidate" compose version >/dev/null 2>&1; then
    engine=$candidate
    break
  fi
done
if [ -z "$engine" ]; then
  fail "no container engine was found (${ENGINE:-docker, podman}): install Docker Engine 28 with Compose 2.33, or Podman with a \
compose provider, start it, and check that \`docker info\` and \`docker compose version\` answer. Nothing was tried." 2
fi
command -v curl >/dev/null || fail 'curl was not found; install it first' 2

compose=("$engine" compose --project-name crank -f docker-compose.policy.yml)
if [ "$nats" = true ]; then
  compose+=(--profile nats)
  export CRANK_NATS_URL=tls://nats:4222
fi
# A mesh that runs already is tried as it is, and left running.
if [ -n "$("${compose[@]}" ps --quiet)" ]; then keep=true; fi
if [ "$keep" = false ]; then trap '"${compose[@]}" down >/dev/null 2>&1' EXIT; fi
if ! "${compose[@]}" up --build --detach --wait --wait-timeout 300; then
  "${compose[@]}" ps --all
  fail "not everything came up; see the logs: $engine compose --project-name crank logs <service>"
fi

failed=0
row() { printf '%-64s %s\n' "$1" "$2"; }
# expect <what> <exit code> <command…>: its output is shown where the code is another one
expect() {
  local what=$1 wanted=$2 status=0 output
  shift 2
  output=$("$@" 2>&1) || status=$?
  if [ "$status" = "$wanted" ]; then
    row "$what" ok
  else
    row "$what" "FAILED: exit code $status, not $wanted" && printf '%s\n' "$output" | tail -n 5 | sed 's/^/    /'
    failed=1
  fi
}
in_service() { "${compose[@]}" exec -T "$@"; }
# Whether a TCP port can be reached from a service: 0, or 1 where it cannot within two seconds.
reach() {
  in_service "$1" node -e "const s = require('node:net').connect($3, '$2'); s.on('connect', () => process.exit(0)); s.on('error', () => process.exit(1)); setTimeout(() => process.exit(1), 2000)"
}
owner() { in_service "$1" node -e "process.exit(require('node:fs').statSync('$2').uid === 1000 ? 0 : 1)"; }

admin=${ADMIN_NETWORK:-172.30.90}
printf '\n'
row what result
expect 'a call that the policy allows' 0 in_service worker-streaming node bin/crank.js invoke invoke hello_world --data '{"message":"smoke"}'
expect 'a call that it denies' 1 in_service worker-streaming node bin/crank.js invoke convert document_to_pdf --data '{}'
expect 'the admin port, from loopback of this machine' 0 curl --silent --fail --max-time 5 http://127.0.0.1:9001/readyz
expect 'the admin port, from a worker by address: no' 1 reach worker-streaming "$admin.2" 9001
expect 'the admin port, from a worker by name: no' 1 reach worker-streaming controller 9001
expect 'the diagnostic port of OPA, from the controller' 0 reach controller opa 8282
expect 'the diagnostic port of OPA, from a worker: no' 1 reach worker-streaming opa 8282
for address in $(hostname -I 2>/dev/null || true); do
  case $address in
    *:* | 127.* | "$admin".*) continue ;;
  esac
  expect "the admin port, at $address of this machine: no" 7 curl --silent --max-time 5 "http://$address:9001/readyz"
done
expect "the controller's state belongs to its user" 0 owner controller /var/lib/crank/audit
expect 'a worker has no key but its own' 0 in_service worker-streaming node -e "process.exit(require('node:fs').readdirSync('/identity').filter((n) => n.endsWith('.key')).join() === 'worker-streaming.key' ? 0 : 1)"
expect 'a worker has no folder of the CA' 1 in_service worker-streaming node -e "process.exit(require('node:fs').existsSync('/pki/ca') ? 0 : 1)"
expect 'the root of a container is read-only' 1 in_service controller node -e "require('node:fs').writeFileSync('/app/x', '')"
if [ "$nats" = true ]; then
  expect 'NATS, from both controllers' 0 reach controller nats 4222
  expect 'NATS, from the second one' 0 reach controller-2 nats 4222
  expect 'NATS, from a worker: no' 1 reach worker-streaming nats 4222
  expect 'the second controller is ready' 0 curl --silent --fail --max-time 5 http://127.0.0.1:9003/readyz
fi
expect 'stops within its grace period, without being killed' 0 "${compose[@]}" stop controller
code=$("$engine" inspect --format '{{.State.ExitCode}}' "$("${compose[@]}" ps --all --quiet controller)")
expect 'the controller drained and ended with 0' 0 test "$code" = 0
expect 'starts again' 0 "${compose[@]}" up --detach --wait --wait-timeout 120 controller
expect 'the audit log is one chain over the restart' 0 in_service controller node bin/crank.js audit verify
exit "$failed"
