# System packages: what a stock Debian 12 lacks. Their versions are pinned by Debian's release, which
# changes them for security alone; clang 19 is part of it.
# shellcheck shell=bash

PACKAGES=(
  # compiler, linker, symbolizer of sanitizer reports, fuzzing and sanitizer run time, formatter, linter
  clang-19 lld-19 llvm-19 libclang-rt-19-dev clang-format-19 clang-tidy-19
  cmake ninja-build ccache
  # libraries
  libboost1.81-dev libssl-dev libsimdjson-dev node-llhttp zlib1g-dev
  nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libfmt-dev libspdlog-dev libmimalloc-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  # downloads of models, and the archives that some come in
  libcurl4-openssl-dev libarchive-dev
  # lines of a chat in the terminal
  libedit-dev
  # how the engine's threads wait for each other
  libomp-19-dev
  # charts of the reports
  libjs-chart.js
  # what the scripts and the end-to-end tests use
  python3 python3-venv curl ca-certificates git xz-utils procps iproute2 openssl
)
# For script/test alone: the container engine that the end-to-end tests start.
TEST_PACKAGES=(docker.io)
# For script/bench alone: the proxies to be compared with.
BENCH_PACKAGES=(nginx-light haproxy)

# missing_packages NAME...: those that are not installed, one a line. Needs no right and no network.
missing_packages() {
  local installed name
  # It ends with 1 where it has never heard of a name, which is no failure: that package is missing.
  installed="$({ dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } | awk '$1 == "installed" { print $2 }')"
  for name in "$@"; do
    grep -qx -- "$name" <<<"$installed" || echo "$name"
  done
}

package_lists_are_old() {
  [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]
}

# update_package_lists LOG. apt-get waits for dpkg's lock when told to, but never for the one on the
# lists, which a machine's first boot holds for a while (apt-daily): so it is asked again. A
# repository of the machine's own that does not answer is no reason to stop: the installation that
# follows says what it lacks.
update_package_lists() {
  local start=$SECONDS
  say "packages: reading Debian's lists (10 seconds)"
  while :; do
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q update >"$1" 2>&1 </dev/null || true
    if ! grep -q 'Could not get lock\|Unable to lock' "$1" || [ $((SECONDS - start)) -ge 300 ]; then return; fi
    say "packages: waiting for another apt-get to end"
    sleep 3
  done
}

install_packages() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends install "$@"
}

install_missing() {
  local -a missing
  local log="$ROOT/build/log"
  mapfile -t missing < <(missing_packages "$@") # another script may have installed them meanwhile
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  # shellcheck disable=SC1091
  (. /etc/os-release && [ "${ID:-}${VERSION_ID:-}" = debian12 ]) ||
    say "warning: this is not Debian 12; the packages' names and versions may not fit"
  say "packages: installing ${#missing[@]} (a minute or two): ${missing[*]}"
  as_root true
  mkdir -p "$log"
  if package_lists_are_old; then update_package_lists "$log/apt-update.log"; fi
  if (quietly "$log/apt-install.log" install_packages "${missing[@]}"); then return; fi
  update_package_lists "$log/apt-update.log"
  quietly "$log/apt-install.log" install_packages "${missing[@]}"
}

# provide_packages NAME...: at once and silently when all are there.
provide_packages() {
  local missing
  command -v dpkg-query >/dev/null ||
    fail "this machine has no dpkg; script/setup knows Debian 12" "install by hand: $*"
  missing="$(missing_packages "$@")"
  if [ -z "$missing" ]; then return; fi
  with_lock packages install_missing "$@"
}
