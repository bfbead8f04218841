# Making this checkout ready, as script/setup and script/server do it.
# shellcheck shell=bash
. "$ROOT/script/lib/packages.sh"
. "$ROOT/script/lib/build.sh"
. "$ROOT/script/lib/engine.sh"
. "$ROOT/script/lib/model.sh"

# fetch_ahead: what is still to be downloaded, while the compilers work. What fails here is tried
# again, and told, when it is needed.
fetch_ahead() { with_lock engine fetch_engine; }

# prepare TARGET [--data DIR]: packages, TARGET of the build, engine, default model. A step that has
# nothing to do says nothing.
prepare() {
  local target="$1" ahead="" prepared begin=$SECONDS start=$SECONDS steps=()
  shift
  provide_packages "${PACKAGES[@]}"
  steps+=("packages $((SECONDS - start)) s")
  if ! engine_complete; then
    (fetch_ahead) >"$BUILD.fetch.log" 2>&1 </dev/null &
    ahead=$!
  fi
  start=$SECONDS
  build "$target"
  steps+=("build $((SECONDS - start)) s")
  start=$SECONDS
  if [ -n "$ahead" ]; then wait "$ahead" || true; fi
  provide_engine
  steps+=("engine $((SECONDS - start)) s")
  start=$SECONDS
  provide_model "$@"
  steps+=("model $((SECONDS - start)) s")
  prepared="$(printf '%s, ' "${steps[@]}")"
  prepared="${prepared%, }"
  if [ $((SECONDS - begin)) -gt 1 ]; then say "time: $prepared"; fi
}
