# Third-party parts: Debian's packages, and the two that tools/setup/deps.sh keeps in the per-machine cache.
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(simdjson REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)  # clients in tests and benches only
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
# Headers only, for the worker's extension on the limited API: which Python they are of does not matter.
file(GLOB python_includes /usr/include/python3.*)
find_path(PYTHON_INCLUDE Python.h HINTS ${python_includes} REQUIRED)

function(nereid_cached_part name variable)
  if(DEFINED ENV{${variable}} AND NOT DEFINED ${variable})
    set(${variable} $ENV{${variable}})
  endif()
  if(NOT ${variable})
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/setup/deps.sh --path ${name}
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    if(NOT EXISTS ${folder}/.complete)
      message(FATAL_ERROR "${name} is not in ${folder}. Run tools/setup/deps.sh ${name} (make does), or set ${variable}.")
    endif()
    set(${variable} ${folder})
  endif()
  set(${variable} ${${variable}} PARENT_SCOPE)
endfunction()

nereid_cached_part(onnxruntime ORT_ROOT)
nereid_cached_part(llama LLAMA_ROOT)

# ONNX Runtime is opened with dlopen at first use; only its headers are needed to build.
add_library(third_party_onnxruntime INTERFACE)
target_include_directories(third_party_onnxruntime SYSTEM INTERFACE ${ORT_ROOT}/include/onnxruntime ${ORT_ROOT}/include)
target_compile_definitions(third_party_onnxruntime INTERFACE NEREID_ORT_LIBRARY="${ORT_ROOT}/lib/libonnxruntime.so.1")

add_library(third_party_llama INTERFACE)
target_include_directories(third_party_llama SYSTEM INTERFACE ${LLAMA_ROOT}/include ${LLAMA_ROOT}/ggml/include ${LLAMA_ROOT}/common ${LLAMA_ROOT}/vendor)
file(GLOB_RECURSE llama_archives ${LLAMA_ROOT}/build/*.a)
target_link_libraries(third_party_llama INTERFACE -Wl,--start-group ${llama_archives} -Wl,--end-group Threads::Threads ${CMAKE_DL_LIBS})
