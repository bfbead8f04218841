# What the sanitizers of a build kind need to know. Everything found ends the process with an error.
# shellcheck shell=bash

sanitizer_environment() {
  local symbolizer=/usr/lib/llvm-19/bin/llvm-symbolizer
  case "$KIND" in
    asan | fuzz)
      export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
      export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
      export ASAN_SYMBOLIZER_PATH="$symbolizer" UBSAN_SYMBOLIZER_PATH="$symbolizer"
      export SPILLWAY_TEST_SLOW="${SPILLWAY_TEST_SLOW:-4}"
      ;;
    tsan)
      export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:external_symbolizer_path=$symbolizer${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
      export SPILLWAY_TEST_SLOW="${SPILLWAY_TEST_SLOW:-4}"
      ;;
    *) export SPILLWAY_TEST_SLOW="${SPILLWAY_TEST_SLOW:-1}" ;;
  esac
}
