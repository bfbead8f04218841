# What Spillway stands on: all from Debian 12, installed by script/setup.

find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(simdjson REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(mimalloc 2 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(LibArchive 3.6 REQUIRED)
find_package(ZLIB 1.2.13 REQUIRED)

# llhttp comes as C sources. Strict mode has to be on the command line: the source tests the macro
# before its own header gives it a default of 0.
set(LLHTTP_DIR /usr/share/llhttp CACHE PATH "Folder with llhttp.c, api.c and http.c")
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp ${LLHTTP_DIR} REQUIRED)
add_library(llhttp STATIC ${LLHTTP_DIR}/llhttp.c ${LLHTTP_DIR}/api.c ${LLHTTP_DIR}/http.c)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)

# Asio, header-only, with the settings that the data plane counts on. Its own store of coroutine frames searches all of its
# places on each allocation, and drops one where a frame is larger than 1020 bytes, which it never keeps: a seventh of a
# stream's instructions.
add_library(spillway_asio INTERFACE)
target_include_directories(spillway_asio SYSTEM INTERFACE ${Boost_INCLUDE_DIRS})
target_compile_definitions(spillway_asio INTERFACE
  BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=64
  BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
target_link_libraries(spillway_asio INTERFACE Threads::Threads OpenSSL::SSL OpenSSL::Crypto)
