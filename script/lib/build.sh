# Configuring and building; a build that is up to date costs a fraction of a second.
# shellcheck shell=bash

export NINJA_STATUS="[%f/%t, %es] "

# own_build: one script at a time works in $BUILD, from here until its end (or release_lock).
own_build() { hold_lock "$BUILD.lock" "works in ${BUILD#"$ROOT/"}"; }

configure() {
  local cache="$BUILD/CMakeCache.txt"
  # CMake refuses a cache that was made for another folder: the checkout was moved or copied.
  if [ -e "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$ROOT" "$cache"; then
    say "build: this checkout was elsewhere before; beginning $KIND anew"
    rm -rf "$BUILD"
  fi
  if [ -e "$BUILD/build.ninja" ]; then return; fi
  say "build: configuring $KIND (5 seconds)"
  (cd "$ROOT" && quietly "$ROOT/build/log/configure-$KIND.log" cmake --preset "$KIND")
}

# build TARGET...
build() {
  local plan
  configure
  plan="$(ninja -C "$BUILD" -n "$@" 2>/dev/null | tail -n 1 || true)"
  if [[ "$plan" == *"no work to do"* ]]; then return; fi
  say "build: $KIND in ${BUILD#"$ROOT/"}, $JOBS at a time (from nothing 2 minutes on two cores, 5 with the tests)"
  quietly "$ROOT/build/log/build-$KIND.log" ninja -C "$BUILD" -j "$JOBS" "$@"
}
