# hearth_module(likes
#   SOURCES like_service.cc …      files of this folder
#   USES    hearth::base …         modules and libraries; the include check reads this line
#   TESTS   like_service_test.cc … one test executable, hearth_likes_test
#   TEST_USES …                    what only the tests need)
function(hearth_module name)
  cmake_parse_arguments(M "" "" "SOURCES;USES;TESTS;TEST_USES" ${ARGN})
  string(REPLACE "/" "_" target hearth_${name})
  if(M_SOURCES)
    add_library(${target} STATIC ${M_SOURCES})
    target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${M_USES})
    set(scope PUBLIC)
    hearth_precompile(${target})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${M_USES})
  endif()
  string(REPLACE "/" "_" alias ${name})
  add_library(hearth::${alias} ALIAS ${target})
  if(HEARTH_TESTS AND M_TESTS)
    hearth_test(${target}_test SOURCES ${M_TESTS} USES ${target} ${M_TEST_USES})
  endif()
endfunction()

# hearth_test(name SOURCES … USES …): one gtest executable, one ctest entry.
function(hearth_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;USES" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_USES} GTest::gtest GTest::gtest_main)
  hearth_precompile(${name})
  add_test(NAME ${name} COMMAND ${name})
  # `./dev test` counts the cases from the results.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} ENVIRONMENT "GTEST_OUTPUT=xml:${CMAKE_BINARY_DIR}/results/${name}.xml")
endfunction()

# hearth_fuzz(name SOURCES … USES …): a libFuzzer target with the corpus tests/fuzz/corpus/<name>. In every build a test runs
# the corpus through it; `./dev fuzz` builds it instrumented and searches on.
function(hearth_fuzz name)
  if(NOT HEARTH_TESTS)
    return()
  endif()
  cmake_parse_arguments(F "" "" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${F_SOURCES})
  target_link_libraries(${name} PRIVATE ${F_USES})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  hearth_precompile(${name})
  add_test(NAME ${name}_corpus COMMAND ${name} -runs=0 ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  set_tests_properties(${name}_corpus PROPERTIES TIMEOUT 300)
  add_dependencies(fuzz_targets ${name})
  file(APPEND ${CMAKE_BINARY_DIR}/fuzz_targets.txt "${CMAKE_CURRENT_BINARY_DIR}/${name}\n")
endfunction()
add_custom_target(fuzz_targets)
file(WRITE ${CMAKE_BINARY_DIR}/fuzz_targets.txt "")

# The coroutine headers cost 1–3 s a file; one precompiled header a build is shared by all.
function(hearth_precompile target)
  if(TARGET hearth_base AND NOT target STREQUAL "hearth_base")
    target_precompile_headers(${target} REUSE_FROM hearth_base)
  endif()
endfunction()

# hearth_embed_sql(target folder variable): the numbered files of migrations/<folder> as an array of strings,
# `extern const std::span<const std::string_view> variable` in the namespace of the driver that the folder begins with.
# Written at configure time; a changed file configures again.
function(hearth_embed_sql target folder variable)
  string(REGEX REPLACE "/.*" "" driver ${folder})
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/migrations/${folder}/*.sql)
  list(SORT files)
  set(body "")
  foreach(file ${files})
    file(READ ${file} sql)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    string(APPEND body "R\"hearth_sql(${sql})hearth_sql\",\n")
  endforeach()
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${variable}.cc)
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT
"#include <array>
#include <span>
#include <string_view>
namespace hearth::${driver} {
namespace { constexpr std::string_view kFiles[] = {
@body@}; }
extern const std::span<const std::string_view> ${variable};
const std::span<const std::string_view> ${variable} = kFiles;
}
")
  target_sources(${target} PRIVATE ${out})
endfunction()

# hearth_embed_lua(target namespace file.lua …): the scripts as strings of that namespace, kChange for change.lua. Written at
# configure time, as those of SQL.
function(hearth_embed_lua target namespace)
  set(body "")
  foreach(script ${ARGN})
    set(file ${CMAKE_CURRENT_SOURCE_DIR}/${script})
    file(READ ${file} lua)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${script} NAME_WE)
    string(SUBSTRING ${name} 0 1 first)
    string(TOUPPER ${first} first)
    string(SUBSTRING ${name} 1 -1 rest)
    string(APPEND body "extern const char k${first}${rest}[];\nconst char k${first}${rest}[] = R\"hearth_lua(${lua})hearth_lua\";\n")
  endforeach()
  set(out ${CMAKE_CURRENT_BINARY_DIR}/scripts_lua.cc)
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT "namespace ${namespace} {\n@body@}\n")
  target_sources(${target} PRIVATE ${out})
endfunction()
