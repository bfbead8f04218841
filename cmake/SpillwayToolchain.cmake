# Compiler, warnings, sanitizers, linker, cache.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR
    "Spillway is built with clang 19 (g++ 12 miscompiles coroutines); found ${CMAKE_CXX_COMPILER_ID} "
    "${CMAKE_CXX_COMPILER_VERSION}. Configure with `cmake --preset release`, or run script/setup.")
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(launcher ${PROJECT_SOURCE_DIR}/cmake/ccache.sh ${PROJECT_SOURCE_DIR})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

set(SPILLWAY_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")
option(SPILLWAY_FUZZERS "Build the libFuzzer targets too" OFF)

add_compile_options(-fno-omit-frame-pointer -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
# Lets ccache share objects that were compiled against a precompiled header.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-instantiate-templates>)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
add_link_options(-fuse-ld=lld-19)

if(SPILLWAY_SANITIZE)
  # Not optimised: compiled in less than half the time.
  add_compile_options(-fsanitize=${SPILLWAY_SANITIZE} -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${SPILLWAY_SANITIZE})
  if(SPILLWAY_FUZZERS)
    add_compile_options(-fsanitize=fuzzer-no-link)  # the fuzzers see the way through the libraries
  endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_options(-g1)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
else()
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
  set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
  add_compile_options(-g1 -fstack-protector-strong -D_FORTIFY_SOURCE=2)
  add_link_options(-Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--compress-debug-sections=zlib)
endif()

set(SPILLWAY_WARNINGS
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Wunused
  -Woverloaded-virtual -Wimplicit-fallthrough -Wextra-semi -Wthread-safety -Werror)
