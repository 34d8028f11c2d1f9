# The injected piece: hooks.S and slow.c, compiled for themselves (freestanding, no vector registers, no sanitizers whatever
# the build), linked at 0 and turned into hook_blob.h.
set(blob ${CMAKE_CURRENT_SOURCE_DIR}/blob)
set(blob_out ${CMAKE_CURRENT_BINARY_DIR}/blob)
file(MAKE_DIRECTORY ${blob_out})
add_executable(gtrace_blob_pack ${blob}/pack.c)
target_link_libraries(gtrace_blob_pack PRIVATE gtrace_flags)
target_include_directories(gtrace_blob_pack PRIVATE ${PROJECT_SOURCE_DIR})
set_target_properties(gtrace_blob_pack PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${blob_out})
set(blob_flags -I${PROJECT_SOURCE_DIR} -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fPIC -fvisibility=hidden
  -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-jump-tables
  -fno-strict-aliasing -fno-builtin)
add_custom_command(OUTPUT ${blob_out}/hook_blob.h
  COMMAND ${CMAKE_C_COMPILER} -I${PROJECT_SOURCE_DIR} -c ${blob}/hooks.S -o ${blob_out}/hooks.o
  COMMAND ${CMAKE_C_COMPILER} ${blob_flags} -c ${blob}/slow.c -o ${blob_out}/slow.o
  COMMAND ${CMAKE_C_COMPILER} ${blob_flags} -c ${blob}/marks.c -o ${blob_out}/marks.o
  COMMAND ${CMAKE_LINKER} -T ${blob}/blob.ld --emit-relocs --unresolved-symbols=ignore-all -o ${blob_out}/piece.elf
    ${blob_out}/hooks.o ${blob_out}/slow.o ${blob_out}/marks.o
  COMMAND gtrace_blob_pack ${blob_out}/piece.elf ${blob_out}/hook_blob.h
  DEPENDS gtrace_blob_pack ${blob}/hooks.S ${blob}/sys.S ${blob}/stubs.S ${blob}/slow.c ${blob}/blob.ld ${blob}/holes.h ${blob}/offsets.h
    ${blob}/gc_hooks.S ${blob}/marks_hooks.S ${blob}/marks.c ${PROJECT_SOURCE_DIR}/libtrace/string_table.h
    ${PROJECT_SOURCE_DIR}/libtrace/shm.h ${PROJECT_SOURCE_DIR}/libtrace/exchange.h ${PROJECT_SOURCE_DIR}/libtrace/refill.h
  COMMENT "hooks for injection"
  VERBATIM)
