# Writes a file for ctest that has one test for each case of a Catch2 program.
#
# usage: cmake -D PROGRAM=FILE -D PREFIX=NAME -D PROPERTIES=TEXT -D OUTPUT=FILE -P list_cases.cmake
#
# Catch.cmake of Catch2 2.13 does nearly the same. But it splits a name at each semicolon, and the
# program takes a name that begins with "-" for an option. So this script quotes the names.
execute_process(
    COMMAND "${PROGRAM}" --list-test-names-only
    OUTPUT_VARIABLE names
    ERROR_VARIABLE errors
    RESULT_VARIABLE ignored # Catch2 returns the number of cases.
)
if(names STREQUAL "")
    message(FATAL_ERROR "${PROGRAM} lists no test case: ${errors}")
endif()

set(script "")
string(FIND "${names}" "\n" end)
while(end GREATER 0)
    string(SUBSTRING "${names}" 0 ${end} name)
    math(EXPR next "${end} + 1")
    string(SUBSTRING "${names}" ${next} -1 names)
    string(FIND "${names}" "\n" end)

    # What Catch2 reads in a quoted name: a comma would end it.
    string(REGEX REPLACE "([\\\\\",])" "\\\\\\1" pattern "${name}")
    string(APPEND script "add_test([==[${PREFIX}${name}]==] [==[${PROGRAM}]==] [==[\"${pattern}\"]==])\n")
    string(APPEND script "set_tests_properties([==[${PREFIX}${name}]==] PROPERTIES ${PROPERTIES})\n")
endwhile()
file(WRITE "${OUTPUT}" "${script}")
