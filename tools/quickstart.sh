#!/bin/bash
# Starts the built server with the demo models in the background, or stops it. Usage: quickstart.sh start|stop
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
state=${XDG_STATE_HOME:-$HOME/.local/state}/nereid
models=${XDG_DATA_HOME:-$HOME/.local/share}/nereid/models
pid_file=$state/quickstart.pid
log=$state/quickstart.log
server=build/release/nereid

# The link ends with " (deleted)" when the binary has been built again since.
running() { [ -s "$pid_file" ] && [[ "$(readlink "/proc/$(cat "$pid_file")/exe")" == "$PWD/$server"* ]]; }

stop() {
  if running; then
    local pid
    pid=$(cat "$pid_file")
    kill -TERM "$pid"
    tail --pid="$pid" -f /dev/null
    echo "quickstart: the server (pid $pid) has ended"
  else
    echo "quickstart: no server of this checkout is running"
  fi
  rm -f "$pid_file"
}

start() {
  (umask 077 && mkdir -p "$state")
  if running; then
    echo "quickstart: the server is running already (pid $(cat "$pid_file")); 'make stop' ends it"
  else
    tools/setup/models.sh "$models"
    setsid "$server" serve --model-repository="$models" --state-folder="$state" </dev/null >"$log" 2>&1 &
    echo $! >"$pid_file"
    local started=$SECONDS shown=""
    until curl -sf -o /dev/null http://127.0.0.1:8000/v2/health/ready; do
      if ! running; then
        echo "quickstart: the server did not start; its log ($log) ends with:" >&2
        tail -n 5 "$log" >&2
        exit 1
      fi
      local now
      now=$(grep -o "successfully loaded '[^']*'" "$log" | tail -n 1 || true)
      if [ "$now" != "$shown" ]; then echo "quickstart: $now"; shown=$now; fi
      [ $((SECONDS - started)) -lt 120 ] || { echo "quickstart: not ready after 120 s, see $log" >&2; exit 1; }
      sleep 0.2
    done
    echo "quickstart: ready after $((SECONDS - started)) s, pid $(cat "$pid_file"), log $log"
  fi
  cat <<TEXT

Nereid serves on http://127.0.0.1:8000 (gRPC 8001, metrics 8002). The admin key is in $state/admin.key. Try:

  curl -s http://127.0.0.1:8000/v1/chat/completions -H "Authorization: Bearer \$(cat $state/admin.key)" -H 'Content-Type: application/json' -d '{"model": "smollm2", "max_tokens": 40, "temperature": 0, "messages": [{"role": "user", "content": "Name the capital of France."}]}'

  $PWD/$server demo magika README.md | curl -s http://127.0.0.1:8000/v2/models/magika/infer -H 'Content-Type: application/json' -d @-

  curl -s 'http://127.0.0.1:8000/v1/admin/usage?hours=1' -H "Authorization: Bearer \$(cat $state/admin.key)"

'make stop' ends it.
TEXT
}

case ${1-} in
  start) start ;;
  stop) stop ;;
  *) echo "usage: quickstart.sh start|stop" >&2; exit 2 ;;
esac
