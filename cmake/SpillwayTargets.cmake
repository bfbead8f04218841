# One folder, one library. DEPS is the rule of who may include whom: tests/include_rules_test.py
# reads these calls and fails on an include that no DEPS entry allows.
#
#   spillway_library(http SOURCES tls.cc … DEPS base LINK_PUBLIC llhttp)
#
# LINK: third-party libraries used in sources alone; LINK_PUBLIC: in headers too.
#
# Sources are compiled several together: names in unnamed namespaces must differ within a folder. ALONE: those of SOURCES that are compiled by themselves, since their names are those of their siblings.

option(SPILLWAY_UNITY "Compile several sources of a library together: a whole build in half the time" ON)
set(SPILLWAY_UNITY_SIZE 8) # sources at a time

# Flags that must be alike everywhere, so that one precompiled header serves all.
add_library(spillway_options INTERFACE)
target_compile_options(spillway_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${SPILLWAY_WARNINGS}>)
target_include_directories(spillway_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(spillway_options INTERFACE spillway_asio simdjson::simdjson)

function(_spillway_pch target)
  target_precompile_headers(${target} REUSE_FROM spillway_pch)
endfunction()

# What every unit test includes is parsed once too.
function(_spillway_test_pch target)
  target_precompile_headers(${target} REUSE_FROM spillway_test_pch)
endfunction()

# _spillway_together(OUT NAME SOURCE…): sets OUT to files that each include some of the sources, by names that are the
# same in every checkout, so that ccache finds what another one has compiled; CMake's own UNITY_BUILD has absolute ones.
function(_spillway_together out name)
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  list(LENGTH ARGN count)
  math(EXPR batches "(${count} + ${SPILLWAY_UNITY_SIZE} - 1) / ${SPILLWAY_UNITY_SIZE}")
  set(files)
  set(begin 0)
  foreach(batch RANGE 1 ${batches})
    math(EXPR end "${count} * ${batch} / ${batches}")
    math(EXPR size "${end} - ${begin}")
    list(SUBLIST ARGN ${begin} ${size} sources)
    list(TRANSFORM sources REPLACE "(.+)" "#include \"${folder}/\\1\" // NOLINT\n")
    list(JOIN sources "" text)
    set(file ${CMAKE_CURRENT_BINARY_DIR}/${name}_${batch}.cc)
    file(CONFIGURE OUTPUT ${file} CONTENT "${text}" @ONLY)
    list(APPEND files ${file})
    set(begin ${end})
  endforeach()
  set(${out} ${files} PARENT_SCOPE)
endfunction()

function(spillway_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ALONE;DEPS;LINK;LINK_PUBLIC" ${ARGN})
  if(SPILLWAY_UNITY)
    set(together ${ARG_SOURCES})
    list(REMOVE_ITEM together ${ARG_ALONE} "")
    _spillway_together(together ${name} ${together})
    set(ARG_SOURCES ${together} ${ARG_ALONE})
  endif()
  add_library(spillway_${name} STATIC ${ARG_SOURCES})
  add_library(spillway::${name} ALIAS spillway_${name})
  target_link_libraries(spillway_${name} PUBLIC spillway_options ${ARG_LINK_PUBLIC} PRIVATE ${ARG_LINK})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(spillway_${name} PUBLIC spillway_${dep})
  endforeach()
  _spillway_pch(spillway_${name})
endfunction()

# spillway_test(http SOURCES a_test.cc …): the unit tests of one folder, as one binary.
function(spillway_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LINK" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE spillway_${name} GTest::gmock_main ${ARG_LINK})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(${name}_test PRIVATE spillway_${dep})
  endforeach()
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  _spillway_test_pch(${name}_test)
  add_test(NAME ${name} COMMAND ${name}_test)
  set_tests_properties(${name} PROPERTIES TIMEOUT 120)
endfunction()

# spillway_fuzz(http_request http FILE): a program that replays the corpus as an ordinary test, and in a build for fuzzing
# (script/fuzz) the libFuzzer target.
function(spillway_fuzz name library source)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  add_executable(${name}_replay ${source} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cc)
  target_link_libraries(${name}_replay PRIVATE spillway_${library})
  _spillway_pch(${name}_replay)
  add_test(NAME fuzz_${name} COMMAND ${name}_replay ${corpus})
  set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 120)
  if(SPILLWAY_FUZZERS)
    add_executable(${name}_fuzz ${source})
    target_compile_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name}_fuzz PRIVATE spillway_${library})
  endif()
endfunction()
