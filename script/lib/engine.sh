# The inference engine: llama.cpp v0.5.0, built once a machine, in a cache keyed by the sources' digests and the build's flags.
#
# The npm package node-llama-cpp carries the source, and a second one, for x86-64, what was compiled of it: libllama,
# libllama-common and libggml-base, three quarters of the work. Only the server and the kernels for the processor are compiled
# against them here, the kernels since theirs do not know OpenMP. Where those libraries do not fit, all of it is compiled.
# shellcheck shell=bash

ENGINE_SOURCE="node-llama-cpp@3.22.1"
ENGINE_SOURCE_ARCHIVE="node-llama-cpp-3.22.1.tgz"
ENGINE_SOURCE_SHA256="a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f"
ENGINE_LIBRARIES="@node-llama-cpp/linux-x64@3.22.1"
ENGINE_LIBRARIES_ARCHIVE="node-llama-cpp-linux-x64-3.22.1.tgz"
ENGINE_LIBRARIES_SHA256="0d953e1503d5ab4608d8ed5b739132308c81ac05ffeb760d2a7f30e08a9f90e0"
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
}

# engine_way: "prebuilt", or "whole" where everything is to be compiled here.
engine_way() {
  if [ "$(uname -m)" = x86_64 ] && [ "${SPILLWAY_ENGINE_BUILD:-0}" != whole ]; then echo prebuilt; else echo whole; fi
}

engine_dir() {
  local key
  key="$( (engine_way && engine_flags && echo "$ENGINE_LIBRARIES_SHA256" && cat "$ROOT/script/lib/engine.cmake") | sha256sum | cut -c1-12)"
  echo "$CACHE/engine/llama.cpp-${ENGINE_SOURCE_SHA256:0:12}-$key"
}

# engine_fits FILE: does this llama-server know every option that Spillway uses?
engine_fits() {
  local help option
  help="$("$1" --help 2>&1)" || return 1
  for option in "${ENGINE_NEEDS[@]}"; do
    grep -q -- "$option" <<<"$help" || return 1
  done
}

# fetch_engine: what it is made of, into the cache.
fetch_engine() {
  fetch_npm_package "$ENGINE_SOURCE" "$ENGINE_SOURCE_ARCHIVE" "$ENGINE_SOURCE_SHA256" "engine: fetching the source of llama.cpp (36 MB)"
  if [ "$(engine_way)" = prebuilt ]; then
    fetch_npm_package "$ENGINE_LIBRARIES" "$ENGINE_LIBRARIES_ARCHIVE" "$ENGINE_LIBRARIES_SHA256" "engine: fetching its libraries (11 MB)"
  fi
}

# engine_libraries FOLDER: the prebuilt libraries, made ready to be linked with and to be started.
engine_libraries() {
  local folder="$1" file
  mkdir -p "$folder"
  tar -xzf "$CACHE/download/$ENGINE_LIBRARIES_ARCHIVE" -C "$folder" --strip-components=3 package/bins/linux-x64/libggml-base.so \
    package/bins/linux-x64/libllama.v0.5.0.so package/bins/linux-x64/libllama-common.so
  # "$ORIGIN:" would have libraries looked for in the working folder too.
  for file in "$folder"/*.so; do sed -i 's/\$ORIGIN:\x00/$ORIGIN\x00\x00/' "$file"; done
  # The backends are in the server itself, which the others find; all that they ask this one for is its name.
  clang-19 -shared -Wl,-soname,libggml.v0.5.0.so -o "$folder/libggml.v0.5.0.so" -x c /dev/null
}

# compile_engine WAY WORK DIR: leaves llama-server in DIR/bin, with the libraries that it was linked with.
compile_engine() {
  local way="$1" work="$2" dir="$3"
  local -a flags
  rm -rf "$work" "$dir"
  mkdir -p "$work" "$dir/bin"
  tar -xzf "$CACHE/download/$ENGINE_SOURCE_ARCHIVE" -C "$work" package/llama/gitRelease.bundle
  quietly "$work/clone.log" git -c advice.detachedHead=false clone --quiet "$work/package/llama/gitRelease.bundle" "$work/source"
  mapfile -t flags < <(engine_flags)
  # It lies in the checkout: what it says is part of the engine's key, where it lies is not.
  flags+=("-DCMAKE_PROJECT_INCLUDE=$ROOT/script/lib/engine.cmake")
  # shellcheck disable=SC2016  # for the loader
  flags+=(-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN;/usr/lib/llvm-19/lib')
  if [ "$way" = prebuilt ]; then
    engine_libraries "$work/libraries"
    flags+=("-DSPILLWAY_PREBUILT=$work/libraries")
  fi
  quietly "$work/configure.log" cmake -G Ninja -S "$work/source" -B "$work/build" "${flags[@]}"
  # Without it threads wait for each other in busy loops: two engines on two processors then stand still now and then.
  grep -q 'GGML_OPENMP_ENABLED.*ON' "$work/build/CMakeCache.txt" || fail "OpenMP was not found" "see $work/configure.log"
  quietly "$work/build.log" ninja -C "$work/build" -j "$JOBS" llama-server
  strip -o "$dir/bin/llama-server" "$work/build/bin/llama-server"
  if [ "$way" = prebuilt ]; then cp "$work"/libraries/*.so "$dir/bin/"; fi
  engine_fits "$dir/bin/llama-server" || fail "the llama-server just built does not run" "see $work/build.log"
}

build_engine() {
  local dir work way
  dir="$(engine_dir)"
  if [ -e "$dir/complete" ]; then return; fi
  fetch_engine
  work="$CACHE/work/engine"
  way="$(engine_way)"
  if [ "$way" = prebuilt ]; then
    say "engine: building llama.cpp's server, once for this machine (a minute on two cores)"
    if ! (compile_engine prebuilt "$work" "$dir"); then
      say "engine: the prebuilt libraries do not fit here; compiling all of llama.cpp"
      way=whole
    fi
  fi
  if [ "$way" = whole ]; then
    say "engine: building llama.cpp, once for this machine (3 to 4 minutes on two cores)"
    compile_engine whole "$work" "$dir"
  fi
  touch "$dir/complete"
  rm -rf "$work"
}

# engine_at_hand: prints the llama-server on PATH that will do; fails where there is none.
engine_at_hand() {
  local found
  [ "${SPILLWAY_ENGINE_BUILD:-0}" = 0 ] || return 1
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
