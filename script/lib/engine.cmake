# Included into llama.cpp's own project by CMAKE_PROJECT_INCLUDE; what it defers is done when all targets are there.
#
# SPILLWAY_PREBUILT: a folder with libraries that take the place of what would be compiled for three of the targets.

function(spillway_adapt)
  if(SPILLWAY_PREBUILT)
    file(WRITE ${CMAKE_BINARY_DIR}/none.cpp "// What would be compiled here lies in a prebuilt library.\n")
    foreach(pair ggml-base:ggml-base llama:llama.v0.5.0 llama-common:llama-common)
      string(REPLACE ":" ";" pair ${pair})
      list(GET pair 0 target)
      list(GET pair 1 library)
      set_property(TARGET ${target} PROPERTY SOURCES ${CMAKE_BINARY_DIR}/none.cpp)
      target_link_libraries(${target} PUBLIC ${SPILLWAY_PREBUILT}/lib${library}.so)
    endforeach()
  else()
    # 150 model files that each read the same headers: together.
    set_target_properties(llama PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
  endif()

  # HTTP, JSON, templates, command line, pictures: no part of a token's time, and slow to optimise. The kernels (ggml) stay
  # as they are.
  foreach(target llama-common server-context llama-server-impl mtmd cpp-httplib)
    target_compile_options(${target} PRIVATE -O1)
  endforeach()
  set_target_properties(server-context PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5)
  set_target_properties(mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 25)
  get_target_property(sources mtmd SOURCES)
  list(FILTER sources EXCLUDE REGEX "^models/")
  list(TRANSFORM sources PREPEND ${CMAKE_SOURCE_DIR}/tools/mtmd/)
  set_source_files_properties(${sources} TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL spillway_adapt)
