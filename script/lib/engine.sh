# The inference engine: llama.cpp, from the source that the PyPI package llama-cpp-python carries.
# Built once a machine, in a cache keyed by the source's digest and the build's flags.
# shellcheck shell=bash

ENGINE_PACKAGE="llama-cpp-python==0.3.36"
ENGINE_ARCHIVE="llama_cpp_python-0.3.36.tar.gz"
ENGINE_SHA256="832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
# Options of llama-server that Spillway passes or relies on; one that lacks any of them is too old.
ENGINE_NEEDS=(--no-ui --parallel --ctx-size --alias --slot-prompt-similarity --offline --metrics --verbosity)

engine_flags() {
  local simd=OFF
  if grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo && grep -qw f16c /proc/cpuinfo &&
    grep -qw bmi2 /proc/cpuinfo; then
    simd=ON
  fi
  printf '%s\n' -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DGGML_NATIVE=OFF -DGGML_AVX2=$simd -DGGML_FMA=$simd -DGGML_F16C=$simd -DGGML_BMI2=$simd \
    -DGGML_OPENMP=ON -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF \
    -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_TOOLS_INSTALL=OFF \
    -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19
  # It lies in the checkout: what it says is part of the key below, where it lies is not.
  if [ "${1:-}" = with-include ]; then printf '%s\n' "-DCMAKE_PROJECT_INCLUDE=$ROOT/script/lib/engine.cmake"; fi
}

engine_dir() {
  local key
  key="$( (engine_flags && cat "$ROOT/script/lib/engine.cmake") | sha256sum | cut -c1-12)"
  echo "$CACHE/engine/llama.cpp-${ENGINE_SHA256:0:12}-$key"
}

# engine_fits FILE: does this llama-server know every option that Spillway uses?
engine_fits() {
  local help option
  help="$("$1" --help 2>&1)" || return 1
  for option in "${ENGINE_NEEDS[@]}"; do
    grep -q -- "$option" <<<"$help" || return 1
  done
}

# fetch_engine: the source, into the cache.
fetch_engine() {
  local work="$CACHE/work/engine-source"
  if [ ! -e "$CACHE/download/$ENGINE_ARCHIVE" ]; then
    say "engine: fetching the source of llama.cpp (77 MB)"
    rm -rf "$work"
    fetch_package "$work" "$ENGINE_PACKAGE" "$ENGINE_SHA256" --no-binary llama-cpp-python
    check_sha256 "$work/$ENGINE_ARCHIVE" "$ENGINE_SHA256"
    mkdir -p "$CACHE/download"
    mv "$work/$ENGINE_ARCHIVE" "$CACHE/download/"
    rm -rf "$work"
  fi
}

build_engine() {
  local dir work
  dir="$(engine_dir)"
  if [ -e "$dir/complete" ]; then return; fi
  fetch_engine
  check_sha256 "$CACHE/download/$ENGINE_ARCHIVE" "$ENGINE_SHA256"
  work="$CACHE/work/engine"
  rm -rf "$work"
  mkdir -p "$work" "$dir/bin"
  say "engine: building llama.cpp, once for this machine (3 to 4 minutes on two cores)"
  tar -xzf "$CACHE/download/$ENGINE_ARCHIVE" -C "$work"
  local -a flags
  mapfile -t flags < <(engine_flags with-include)
  quietly "$work/configure.log" cmake -G Ninja -S "$work"/llama_cpp_python-*/vendor/llama.cpp -B "$work/build" "${flags[@]}"
  # Without it threads wait for each other in busy loops: two engines on two processors then stand still now and then.
  grep -q 'GGML_OPENMP_ENABLED.*ON' "$work/build/CMakeCache.txt" || fail "OpenMP was not found" "see $work/configure.log"
  quietly "$work/build.log" ninja -C "$work/build" -j "$JOBS" llama-server
  strip -o "$dir/bin/llama-server" "$work/build/bin/llama-server"
  engine_fits "$dir/bin/llama-server" || fail "the llama-server just built does not run" "see $work/build.log"
  touch "$dir/complete"
  rm -rf "$work"
}

# engine_at_hand: prints the llama-server on PATH that will do; fails where there is none.
engine_at_hand() {
  local found
  [ "${SPILLWAY_ENGINE_BUILD:-0}" != 1 ] || return 1
  found="$(command -v llama-server)" || return 1
  # The link below needs a folder named bin.
  [ "$(basename "$(dirname "$found")")" = bin ] || return 1
  engine_fits "$found" || return 1
  echo "$found"
}

# engine_complete: nothing has to be fetched or built.
engine_complete() { [ -e "$(engine_dir)/complete" ] || engine_at_hand >/dev/null; }

# provide_engine: leaves llama-server reachable under $CACHE/engine/current. Cheap when it is there,
# so every script calls it: a new version of Spillway may need a new one.
provide_engine() {
  local found dir
  mkdir -p "$CACHE/engine"
  if found="$(engine_at_hand)"; then
    ln -sfn "$(dirname "$found")/.." "$CACHE/engine/current"
    return
  fi
  with_lock engine build_engine
  dir="$(engine_dir)"
  if [ "$(readlink "$CACHE/engine/current" || true)" != "$dir" ]; then
    ln -sfn "$dir" "$CACHE/engine/current"
    say "engine: $dir/bin/llama-server"
  fi
}
