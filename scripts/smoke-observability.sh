#!/usr/bin/env bash
# Starts the mesh and the observability stack with Docker, makes one allowed and one denied call, and finds both in Jaeger,
# Tempo, Loki and the exemplars of Prometheus, directly and through Grafana. Prints a table; exit 1 if something is missing.
#
#   scripts/smoke-observability.sh [--down]     --down: stop everything at the end (volumes are kept)
#
# Needs Docker with Compose, and curl. For other addresses than those of the compose files: JAEGER_URL, TEMPO_URL, LOKI_URL,
# PROMETHEUS_URL, GRAFANA_URL, GRAFANA_ADMIN_PASSWORD. SMOKE_WAIT: total seconds for the search (default 180).
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
}
fail() {
  echo "smoke-observability.sh: $1" >&2
  exit "${2:-1}"
}

down=false
for argument in "$@"; do
  case $argument in
    --down) down=true ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument \"$argument\"" 2 ;;
  esac
done
for tool in docker curl; do
  command -v "$tool" >/dev/null || fail "$tool was not found; install it first" 2
done

jaeger=${JAEGER_URL:-http://127.0.0.1:16686}
tempo=${TEMPO_URL:-http://127.0.0.1:3200}
loki=${LOKI_URL:-http://127.0.0.1:3100}
prometheus=${PROMETHEUS_URL:-http://127.0.0.1:9090}
grafana=${GRAFANA_URL:-http://127.0.0.1:3000}
login=(--user "admin:${GRAFANA_ADMIN_PASSWORD:-admin}")
# Alloy knows the containers by the project's name.
compose=(docker compose --project-name crank -f docker-compose.policy.yml -f docker-compose.observability.yml)

if [ "$down" = true ]; then trap '"${compose[@]}" down' EXIT; fi
"${compose[@]}" config -q
if ! "${compose[@]}" up --build --detach --wait --wait-timeout 300; then
  "${compose[@]}" ps --all
  fail 'not everything came up; see the logs: docker compose --project-name crank logs <service>'
fi

# call <capability…>: as the streaming worker; prints the trace id. A denial (exit 1) is an answer, too.
call() {
  local answer status=0
  answer=$("${compose[@]}" exec -T worker-streaming node bin/crank.js invoke "$@" -o json 2>/dev/null) || status=$?
  if [ "$status" -gt 1 ]; then fail "crank invoke $* failed with exit code $status"; fi
  sed -n 's/.*"trace_id": *"\([0-9a-f]\{32\}\)".*/\1/p' <<<"$answer" | head -n 1
}
# has <text> <curl arguments…>. Not `grep -q`: it would close the pipe, and curl would fail.
has() {
  local wanted=$1
  shift
  curl --silent --fail --max-time 10 "$@" | grep --fixed-strings -- "$wanted" >/dev/null
}

deadline=$((SECONDS + ${SMOKE_WAIT:-180}))
# An exporter that does not find Jaeger at its start retries only later: the measured calls are made when all are connected.
while true; do
  warm=$(call invoke hello_world --data '{"message":"warm-up"}')
  sleep 1
  if has '"crank-worker-hello-world"' "$jaeger/api/traces/$warm" && has '"crank-controller"' "$jaeger/api/traces/$warm" &&
    has '"opa"' "$jaeger/api/traces/$warm"; then break; fi
  if [ "$SECONDS" -ge "$deadline" ]; then echo 'spans of a first call did not reach Jaeger; going on' >&2 && break; fi
done
allowed=$(call invoke hello_world --data '{"message":"smoke"}')
denied=$(call convert document_to_pdf --data '{}')
if [ -z "$allowed" ] || [ -z "$denied" ]; then fail 'a call gave no trace id'; fi

failed=0
row() { printf '%-44s %-9s %s\n' "$1" "$2" "$3"; }

# check <what> <text that the answer must hold> <where to look> <curl arguments…>
check() {
  local what=$1 wanted=$2 place=$3
  shift 3
  until has "$wanted" "$@"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      row "$what" 'NOT FOUND' "$place" && failed=1
      return 0
    fi
    sleep 1
  done
  row "$what" found "$place"
}
# logs <what> <stream> <trace id> <address of Loki> <curl arguments…>
logs() {
  local what=$1 stream=$2 trace=$3 address=$4
  shift 4
  check "$what" "$trace" "$grafana/explore" "$@" --get "$address/loki/api/v1/query_range" \
    --data-urlencode "query={service_name=\"crank-controller\", stream=\"$stream\"} | trace_id=\"$trace\""
}
# exemplar <what> <trace id> <address of Prometheus> <curl arguments…>: of the last hour
exemplar() {
  local what=$1 trace=$2 address=$3
  shift 3
  check "$what" "$trace" "$address" "$@" --get "$address/api/v1/query_exemplars" \
    --data-urlencode 'query=controller_policy_decisions_total' \
    --data "start=$(($(date +%s) - 3600))" --data "end=$(($(date +%s) + 60))"
}

printf '\n'
row 'what' 'result' 'where to look'
proxy=$grafana/api/datasources/proxy/uid
for trace in "$allowed" "$denied"; do
  if [ "$trace" = "$allowed" ]; then printf '%s\n' "allowed call, trace $trace"; else printf '%s\n' "denied call, trace $trace"; fi
  check 'Jaeger: spans of the controller' '"crank-controller"' "$jaeger/trace/$trace" "$jaeger/api/traces/$trace"
  check "Jaeger: OPA's own span" '"opa"' "$jaeger/trace/$trace" "$jaeger/api/traces/$trace"
  check 'Jaeger, through Grafana' '"crank-controller"' "$grafana/explore" "${login[@]}" "$proxy/jaeger/api/traces/$trace"
  json=(--header 'Accept: application/json')
  check 'Tempo: the forwarded copy' 'crank-controller' "$tempo/api/traces/$trace" "${json[@]}" "$tempo/api/traces/$trace"
  check 'Tempo, through Grafana' 'crank-controller' "$grafana/explore" "${json[@]}" "${login[@]}" "$proxy/tempo/api/traces/$trace"
  logs 'Loki: audit record' audit "$trace" "$loki"
  logs 'Loki: log line' log "$trace" "$loki"
  logs 'Loki, through Grafana' audit "$trace" "$proxy/loki" "${login[@]}"
  exemplar 'Prometheus: exemplar of the decision' "$trace" "$prometheus"
  exemplar 'Prometheus, through Grafana' "$trace" "$proxy/prometheus" "${login[@]}"
done
check 'Jaeger: spans of the worker' '"crank-worker-hello-world"' "$jaeger/trace/$allowed" "$jaeger/api/traces/$allowed"
check 'Jaeger: the denial by its tag' "$denied" "$jaeger/search" --get "$jaeger/api/traces" \
  --data-urlencode 'service=crank-controller' --data-urlencode 'tags={"policy.decision":"deny"}' --data 'lookback=1h'
for dashboard in crank-policy crank-routing crank-audit-identity; do
  check "Grafana: dashboard $dashboard" "\"uid\":\"$dashboard\"" "$grafana/d/$dashboard" \
    "${login[@]}" "$grafana/api/dashboards/uid/$dashboard"
done
exit "$failed"
