# Included into llama.cpp's own project by CMAKE_PROJECT_INCLUDE: builds it in about a fifth less time. The kernels
# (ggml) stay as they are.

# 150 model files that each read the same headers: together.
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL
  set_target_properties llama PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)

# HTTP, JSON, templates and command line: no part of a token's time, and slow to optimise.
foreach(target llama-common server-context llama-server-impl mtmd cpp-httplib)
  # Evaluated late, when `target` has another value: so it is put in now.
  cmake_language(EVAL CODE
    "cmake_language(DEFER DIRECTORY \"${CMAKE_SOURCE_DIR}\" CALL target_compile_options ${target} PRIVATE -O1)")
endforeach()
