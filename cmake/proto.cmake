# The generated messages of proto/*.proto, as the library `proto`, and the clients of their services, for tests and benches, as `proto_grpc`;
# include as "proto/NAME.pb.h" and "proto/NAME.grpc.pb.h".
file(GLOB proto_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/proto/*.proto)
set(proto_out ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${proto_out}/proto)
get_target_property(grpc_plugin gRPC::grpc_cpp_plugin LOCATION)
set(proto_sources)
set(proto_grpc_sources)
foreach(file ${proto_files})
  get_filename_component(name ${file} NAME_WE)
  set(outputs ${proto_out}/proto/${name}.pb.cc ${proto_out}/proto/${name}.pb.h ${proto_out}/proto/${name}.grpc.pb.cc ${proto_out}/proto/${name}.grpc.pb.h)
  add_custom_command(OUTPUT ${outputs}
    COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR} --cpp_out=${proto_out} --grpc_out=${proto_out} --plugin=protoc-gen-grpc=${grpc_plugin} ${file}
    DEPENDS ${file} ${proto_files})
  list(APPEND proto_sources ${proto_out}/proto/${name}.pb.cc)
  list(APPEND proto_grpc_sources ${proto_out}/proto/${name}.grpc.pb.cc)
endforeach()
add_library(proto STATIC ${proto_sources})
target_include_directories(proto SYSTEM PUBLIC ${proto_out})
target_link_libraries(proto PUBLIC protobuf::libprotobuf)
add_library(proto_grpc STATIC EXCLUDE_FROM_ALL ${proto_grpc_sources})
add_dependencies(proto_grpc proto)
target_link_libraries(proto_grpc PUBLIC proto gRPC::grpc++)
