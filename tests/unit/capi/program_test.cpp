#include "support/process.hpp"
#include "support/service_thread.hpp"
#include "support/temp_directory.hpp"

#include <tftp/version.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

TEST_CASE("a C program gets and puts", "[capi]") {
    const service_thread serving;
    const temp_directory here;
    const std::string url = "tftp://" + serving.address(address_family::ipv4).to_string() + "/";
    const run_result ended = run({{TFTP_TEST_C_PROGRAM, url, here.path()}, {}, {}}, 60s);
    CHECK(ended.errors.empty());
    CHECK(ended.status == 0);
    CHECK(
        ended.output == std::string(version) +
                            "\nthe server says \"File not found\" (The other side has no such "
                            "file)\n"
    );
    CHECK(serving.files.get("file") == "hello");
}
