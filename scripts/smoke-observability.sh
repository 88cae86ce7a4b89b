#!/usr/bin/env bash
# Brings mesh and observability stack up with Docker, makes one allowed and one denied call, and finds both in Jaeger, Tempo,
# Loki, the exemplars of Prometheus, and through Grafana. Prints a table; exit 1 if something was not found.
#
#   scripts/smoke-observability.sh [--down]     --down: stop everything at the end (volumes stay)
#
# Needs Docker with Compose, and curl. Elsewhere than in the compose files' places: JAEGER_URL, TEMPO_URL, LOKI_URL,
# PROMETHEUS_URL, GRAFANA_URL, GRAFANA_ADMIN_PASSWORD. SMOKE_WAIT: seconds that each check may take (default 90).
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
}

down=false
for argument in "$@"; do
  case $argument in
    --down) down=true ;;
    -h | --help) usage && exit 0 ;;
    *) echo "smoke-observability.sh: unknown argument \"$argument\"" >&2 && usage >&2 && exit 2 ;;
  esac
done
for tool in docker curl; do
  command -v "$tool" >/dev/null || { echo "smoke-observability.sh: $tool was not found; install it first" >&2 && exit 2; }
done

jaeger=${JAEGER_URL:-http://127.0.0.1:16686}
tempo=${TEMPO_URL:-http://127.0.0.1:3200}
loki=${LOKI_URL:-http://127.0.0.1:3100}
prometheus=${PROMETHEUS_URL:-http://127.0.0.1:9090}
grafana=${GRAFANA_URL:-http://127.0.0.1:3000}
password=${GRAFANA_ADMIN_PASSWORD:-admin}
wait_s=${SMOKE_WAIT:-90}
compose=(docker compose -f docker-compose.policy.yml -f docker-compose.observability.yml)

if [ "$down" = true ]; then trap '"${compose[@]}" down' EXIT; fi
"${compose[@]}" config -q
"${compose[@]}" up --build --detach --wait

# call <capability…>: as the streaming worker; prints the trace id. A denial (exit 1) is an answer, too.
call() {
  local answer status=0
  answer=$("${compose[@]}" exec -T worker-streaming node bin/crank.js invoke "$@" -o json 2>/dev/null) || status=$?
  if [ "$status" -gt 1 ]; then echo "smoke-observability.sh: crank invoke $* failed with exit code $status" >&2 && return 1; fi
  sed -n 's/.*"trace_id": *"\([0-9a-f]\{32\}\)".*/\1/p' <<<"$answer" | head -n 1
}

allowed=$(call invoke hello_world --data '{"message":"smoke"}')
denied=$(call convert document_to_pdf --data '{}')
if [ -z "$allowed" ] || [ -z "$denied" ]; then echo 'smoke-observability.sh: a call gave no trace id' >&2 && exit 1; fi

failed=0
row() { printf '%-44s %-9s %s\n' "$1" "$2" "$3"; }

# check <what> <text that the answer must hold> <where to look> <curl arguments…>
check() {
  local what=$1 wanted=$2 place=$3 until=$((SECONDS + wait_s))
  shift 3
  # Not `grep -q`: it would hang up on curl, which then counts as failed.
  until curl --silent --fail --max-time 10 "$@" | grep --fixed-strings -- "$wanted" >/dev/null; do
    if [ "$SECONDS" -ge "$until" ]; then
      row "$what" 'NOT FOUND' "$place" && failed=1
      return 0
    fi
    sleep 1
  done
  row "$what" found "$place"
}

# Exemplars of the last hour.
exemplars() {
  echo --get "$prometheus/api/v1/query_exemplars" --data-urlencode "query=$1" \
    --data "start=$(($(date +%s) - 3600))" --data "end=$(($(date +%s) + 60))"
}
# logs <stream> <trace id>
logs() {
  check "Loki: $1 line" "$2" "$grafana/explore" --get "$loki/loki/api/v1/query_range" \
    --data-urlencode "query={service_name=\"crank-controller\", stream=\"$1\"} | trace_id=\"$2\""
}

printf '\n'
row 'what' 'result' 'where to look'
for trace in "$allowed" "$denied"; do
  if [ "$trace" = "$allowed" ]; then printf '%s\n' "allowed call, trace $trace"; else printf '%s\n' "denied call, trace $trace"; fi
  check 'Jaeger: spans of the controller' '"crank-controller"' "$jaeger/trace/$trace" "$jaeger/api/traces/$trace"
  check "Jaeger: OPA's own span" '"opa"' "$jaeger/trace/$trace" "$jaeger/api/traces/$trace"
  check 'Tempo: the forwarded copy' 'crank-controller' "$tempo/api/traces/$trace" \
    --header 'Accept: application/json' "$tempo/api/traces/$trace"
  logs audit "$trace"
  logs log "$trace"
  read -ra arguments <<<"$(exemplars controller_policy_decisions_total)"
  check 'Prometheus: exemplar of the decision' "$trace" "$prometheus" "${arguments[@]}"
done
check 'Jaeger: spans of the worker' '"crank-worker-hello-world"' "$jaeger/trace/$allowed" "$jaeger/api/traces/$allowed"
check 'Jaeger: the denial by its tag' "$denied" "$jaeger/search" --get "$jaeger/api/traces" \
  --data-urlencode 'service=crank-controller' --data-urlencode 'tags={"policy.decision":"deny"}' --data 'lookback=1h'
for source in prometheus tempo loki jaeger; do
  check "Grafana: data source $source answers" 'OK' "$grafana/connections/datasources" \
    --user "admin:$password" "$grafana/api/datasources/uid/$source/health"
done
for dashboard in crank-policy crank-routing crank-audit-identity; do
  check "Grafana: dashboard $dashboard" "\"uid\":\"$dashboard\"" "$grafana/d/$dashboard" \
    --user "admin:$password" "$grafana/api/dashboards/uid/$dashboard"
done
exit "$failed"
