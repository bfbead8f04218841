# Shared by every script here: where things are, how progress and failures are told.
# shellcheck shell=bash
set -euo pipefail

if [ -z "${HOME:-}" ]; then
  HOME="$(getent passwd "$(id -u)" | cut -d: -f6)"
  export HOME
fi
# With `sudo script/…` in a user's own checkout only what needs root is done as root, so that no
# build folder and no cache is left behind that the user cannot write to.
if [ "$(id -u)" -eq 0 ] && [ "${SUDO_USER:-root}" != root ] && [ "$(stat -c %U "$0")" = "$SUDO_USER" ]; then
  kept=()
  for name in $(compgen -e | grep '^SPILLWAY_' || true); do kept+=("$name=${!name}"); done
  exec sudo -H -u "$SUDO_USER" -- env "${kept[@]}" "$0" "$@"
fi

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="${SPILLWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spillway}"
KIND="${SPILLWAY_BUILD:-release}"
BUILD="$ROOT/build/$KIND"
JOBS="${SPILLWAY_JOBS:-$(nproc)}"

case "$KIND" in
  release | debug | asan | tsan) ;;
  *)
    echo "SPILLWAY_BUILD=$KIND is not a build kind; use release, debug, asan or tsan" >&2
    exit 2
    ;;
esac

say() { printf '==> %s\n' "$*" >&2; }

# fail MESSAGE [MEND]: says what went wrong and what to do about it, then gives up.
fail() {
  printf 'error: %s\n' "$1" >&2
  if [ $# -gt 1 ]; then printf '  mend: %s\n' "$2" >&2; fi
  exit 1
}

# quietly LOG COMMAND...: runs a long command with its output in LOG; a line of progress every few
# seconds, and the log's end when it fails. A command in the background ignores Ctrl-C, so that the
# trap has to hand it on.
quietly() {
  local log="$1" start=$SECONDS pid shown=0 nap=0.05
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  # shellcheck disable=SC2064  # the pid of now is meant
  trap "kill $pid 2>/dev/null; wait $pid; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep "$nap"
    if [ $((SECONDS - start)) -ge 1 ]; then nap=0.5; fi
    if [ $((SECONDS - start - shown)) -ge 15 ]; then
      shown=$((SECONDS - start))
      printf '    %4ds  %s\n' "$shown" "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)" >&2
    fi
  done
  if wait "$pid"; then
    trap - INT TERM
  else
    trap - INT TERM
    tail -n 40 "$log" >&2
    fail "'$1' failed (whole log: $log)" "read the lines above; run the script again, it goes on where it stopped"
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "system packages are missing, and neither root nor sudo is at hand" "run as root once: $*"
  fi
}

# check_sha256 FILE DIGEST
check_sha256() {
  local got
  got="$(sha256sum "$1" | cut -d' ' -f1)"
  [ "$got" = "$2" ] || fail "$1 has SHA-256 $got, expected $2" "delete the file and run again; if it stays so, do not use it"
}

# usage FILE: prints the comment at the head of a script as its help.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"; }

# with_lock NAME COMMAND...: one machine-wide run at a time of what fills the cache.
with_lock() {
  local name="$1"
  shift
  mkdir -p "$CACHE"
  (
    flock -w 3600 9 || fail "another set-up holds $CACHE/$name.lock for an hour" "end it, or delete the lock"
    "$@"
  ) 9>"$CACHE/$name.lock"
}

# pip_tools: a virtual environment with pip alone, to fetch packages without touching the system's.
pip_tools() {
  local venv="$CACHE/pip"
  [ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv "$venv" ||
    fail "no virtual environment could be made in $venv" "apt-get install python3-venv"
  echo "$venv/bin/pip"
}
