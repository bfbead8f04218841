# script/test bare: what a newcomer does, on a Debian 12 with nothing on it.
# shellcheck shell=bash

BARE_PACKAGES=(mmdebstrap)
BARE_ANSWER_TIME=120 # seconds from the server's start to its answer; the engine loads within one or two
BARE_PORT=18080      # not the default one, which this machine may use

# bare_skip WHY
bare_skip() {
  say "bare: not run: $1"
  echo "0 passed, 0 failed, 1 skipped"
}

# bare_digest: of what decides whether a bare machine can build this: scripts, build files, which headers of others are
# included, and the packages with their versions.
bare_digest() {
  (
    cd "$ROOT"
    git ls-files --cached --others --exclude-standard -- script cmake CMakePresets.json CMakeLists.txt '*/CMakeLists.txt' tests/e2e/requirements.txt |
      sort -u | while read -r file; do if [ -f "$file" ]; then sha256sum "$file"; fi; done
    git grep -hE --untracked '^#include <' -- src | sort -u
    dpkg-query -W -f '${Package} ${Version}\n' "${PACKAGES[@]}" 2>/dev/null | sort
  ) | sha256sum | cut -c1-16
}

# in_namespaces COMMAND...: with mounts and processes of its own, which are gone with it, however it or this script ends.
in_namespaces() {
  local child status=0
  setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child -- "$@" &
  child=$!
  # shellcheck disable=SC2064  # the process of now is meant
  trap "kill -KILL $child 2>/dev/null; exit 143" INT TERM HUP
  wait "$child" || status=$?
  trap - INT TERM HUP
  return "$status"
}

# sweep_bare FOLDER: what a run that was killed could not remove.
sweep_bare() {
  local left
  for left in "$1"/spillway-bare.*; do
    [ -d "$left" ] || continue
    if ! kill -0 "$(cut -d. -f2 <<<"${left##*/}")" 2>/dev/null; then rm -rf --one-file-system "$left"; fi
  done
}

test_bare() {
  local work status=0 start=$SECONDS places="${TMPDIR:-/var/tmp}" passed=""
  if [ "$(id -u)" -ne 0 ]; then bare_skip "it needs root to make a file system of its own" && return; fi
  if ! unshare --mount true 2>/dev/null; then bare_skip "this machine lets root mount nothing" && return; fi
  if [ "${SPILLWAY_BARE_CACHE:-1}" != 0 ]; then
    provide_packages "${PACKAGES[@]}"
    passed="$CACHE/bare/$(bare_digest)"
    if [ -e "$passed" ]; then
      say "bare: passed on this machine on $(date -r "$passed" +%F) with the same scripts, build files, headers and packages"
      echo "1 passed, 0 failed, 0 skipped"
      return
    fi
  fi
  provide_packages "${BARE_PACKAGES[@]}"
  sweep_bare "$places"
  work="$(mktemp -d "$places/spillway-bare.$$.XXXXXX")"
  # shellcheck disable=SC2064  # the folder of now is meant
  trap "rm -rf --one-file-system '$work'" EXIT
  in_namespaces "$BASH" -c '
    . "$1/script/lib/common.sh"
    . "$1/script/lib/prepare.sh"
    . "$1/script/lib/bare.sh"
    bare_inside "$2"' bare "$ROOT" "$work" || status=$?
  say "bare: $((SECONDS - start)) s"
  if [ "$status" -eq 0 ]; then
    if [ -n "$passed" ]; then mkdir -p "${passed%/*}" && touch "$passed"; fi
    echo "1 passed, 0 failed, 0 skipped"
  else
    echo "0 passed, 1 failed, 0 skipped"
  fi
  return "$status"
}

# Debian's smallest system, with this machine's way to reach packages: its apt and pip settings, its
# certificates. Nothing else of it.
make_bare_root() {
  local root="$1" file
  quietly "$root.log" mmdebstrap --variant=minbase --include=ca-certificates,sudo bookworm "$root" \
    /etc/apt/sources.list.d/debian.sources
  local -a ours=(etc/apt/apt.conf.d etc/apt/auth.conf.d etc/apt/keyrings etc/apt/preferences.d etc/pip.conf
    etc/resolv.conf etc/hosts etc/ssl/certs/ca-certificates.crt usr/local/share/ca-certificates)
  for file in "${ours[@]}"; do
    if [ -e "/$file" ]; then tar -C / --dereference -c "$file" | tar -C "$root" -x; fi
  done
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  useradd --root "$root" --create-home --shell /bin/bash newcomer
  echo 'newcomer ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/newcomer"
}

# bare_clone FOLDER: what a clone would hold, with the changes that are not committed yet.
bare_clone() {
  mkdir -p "$1"
  (cd "$ROOT" && git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
    tar --null --files-from=- -c) | tar -x -C "$1"
}

# bare_caches ROOT HOME: engine and model are the same bytes everywhere; taking them over saves their build and download. What
# was compiled in an earlier bare system is kept for the next one: its packages are newer than this machine's.
bare_caches() {
  local to="$1$2/.cache/spillway" dir weights
  if [ "${SPILLWAY_BARE_CACHE:-1}" = 0 ]; then return; fi
  mkdir -p "$1$2/.config/ccache"
  printf 'cache_dir = /mnt/ccache\numask = 000\nmax_size = 1G\n' >"$1$2/.config/ccache/ccache.conf"
  dir="$(engine_dir)"
  mkdir -p "$to/engine" "$to/test-data/models/blobs"
  if [ -e "$dir/complete" ]; then cp -a "$dir" "$to/engine/"; fi
  if weights="$(model_at_hand)"; then cp -a "$weights" "$to/test-data/models/blobs/"; fi
}

# bare_run ROOT USER COMMAND...: in the bare system, with nothing of this environment but the network's.
bare_run() {
  local root="$1" user="$2"
  local -a kept
  shift 2
  mapfile -d '' -t kept < <(network_variables)
  chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    "${kept[@]}" /sbin/runuser -u "$user" -- "$@"
}

# bare_answer ROOT USER FOLDER: starts script/server, and asks what its banner says to ask.
bare_answer() {
  local root="$1" user="$2" folder="$3" start=$SECONDS text=""
  cat >"$root$folder/bare.toml" <<TOML
[server]
listen = "127.0.0.1:$BARE_PORT"
admin_listen = "127.0.0.1:0"
[[backend]]
name = "local"
engine = "llama.cpp"
model = "smollm2:135m"
tier = "edge"
[[route]]
model = "*"
targets = [{ backend = "local" }]
TOML
  bare_run "$root" "$user" "$folder/script/server" --config "$folder/bare.toml" >"$root$folder/bare.log" 2>&1 &
  local server=$!
  until holds_text "$(cat "$root$folder/bare.log")" "^listening on"; do
    kill -0 "$server" 2>/dev/null || { cat "$root$folder/bare.log" >&2 && fail "script/server ended"; }
    sleep 0.2
  done
  say "bare: $user: listening $((SECONDS - start)) s after script/server"
  text="$(chroot "$root" curl -sS --max-time "$BARE_ANSWER_TIME" "http://127.0.0.1:$BARE_PORT/v1/chat/completions" -N \
    -d '{"model":"any","stream":true,"max_tokens":24,"messages":[{"role":"user","content":"Why is the sky blue?"}]}')"
  holds_text "$text" '"content":"[^"]' || fail "no answer came: $text"
  holds_text "$text" '^data: \[DONE\]' || fail "the answer did not end: $text"
  say "bare: $user: a whole answer of the local model $((SECONDS - start)) s after script/server"
  chroot "$root" pkill -TERM -f "spillway --config $folder/bare.toml" || fail "no spillway to end"
  wait "$server" || fail "spillway ended with $? after SIGTERM" "see $folder/bare.log"
}

bare_inside() {
  local root="$1/root"
  mount --make-rprivate /
  say "bare: making a Debian 12 with nothing on it (20 seconds)"
  make_bare_root "$root"
  if [ "${SPILLWAY_BARE_CACHE:-1}" != 0 ]; then
    mkdir -p "$CACHE/bare/ccache" "$root/mnt/ccache"
    chmod 777 "$CACHE/bare/ccache"
    mount --bind "$CACHE/bare/ccache" "$root/mnt/ccache"
  fi

  # A newcomer with sudo: one command.
  bare_clone "$root/home/newcomer/spill way" # a blank in the path is nothing unusual
  bare_caches "$root" /home/newcomer
  chroot "$root" chown -R newcomer:newcomer /home/newcomer
  say "bare: script/server as a user with sudo, from nothing"
  bare_answer "$root" newcomer "/home/newcomer/spill way"

  # The machine's root, later, with a home of its own, in the checkout as it is now: nothing is left to be compiled.
  if [ "${SPILLWAY_BARE_CACHE:-1}" != 0 ]; then
    chroot "$root" chown -R root:root "/home/newcomer/spill way"
    bare_caches "$root" /root
    chroot "$root" chown -R root:root /root/.cache
    say "bare: script/server as root"
    bare_answer "$root" root "/home/newcomer/spill way"
    return
  fi

  # And from nothing, in a checkout of its own, with the tests; the compiler's cache is taken over.
  rm -rf "$root/home/newcomer/spill way"
  bare_clone "$root/home/newcomer/spill way"
  chroot "$root" chown -R root:root "/home/newcomer/spill way"
  mkdir -p "$root/root/.cache"
  if [ -e "$root/home/newcomer/.cache/ccache" ]; then cp -a "$root/home/newcomer/.cache/ccache" "$root/root/.cache/"; fi
  chroot "$root" chown -R root:root /root
  say "bare: script/setup as root"
  bare_run "$root" root "/home/newcomer/spill way/script/setup"
  bare_answer "$root" root "/home/newcomer/spill way"
}
