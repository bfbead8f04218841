# Configuring and building; a build that is up to date costs a fraction of a second.
# shellcheck shell=bash

export NINJA_STATUS="[%f/%t, %es] "

configure() {
  if [ -e "$BUILD/build.ninja" ]; then return; fi
  say "build: configuring $KIND"
  (cd "$ROOT" && quietly "$ROOT/build/log/configure-$KIND.log" cmake --preset "$KIND")
}

# build TARGET...
build() {
  configure
  if ninja -C "$BUILD" -n "$@" 2>/dev/null | tail -n 1 | grep -q 'no work to do'; then return; fi
  say "build: $KIND in ${BUILD#"$ROOT/"}, $JOBS at a time"
  quietly "$ROOT/build/log/build-$KIND.log" ninja -C "$BUILD" -j "$JOBS" "$@"
}
