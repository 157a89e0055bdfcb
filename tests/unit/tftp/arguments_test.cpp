#include "arguments.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::cli;
using namespace std::chrono_literals;

namespace {

arguments parse(std::initializer_list<const char*> words) {
    const std::vector<const char*> list(words);
    return parse_arguments(list);
}

} // namespace

TEST_CASE("get without options has the documented defaults", "[tftp][arguments]") {
    const arguments a = parse({"get", "192.0.2.1", "dir/image.bin"});
    CHECK(a.action == action::transfer);
    CHECK(a.verb == transfer_direction::read);
    CHECK(a.host == "192.0.2.1");
    CHECK(a.port == 69);
    CHECK(a.remote == "dir/image.bin");
    CHECK(a.local == "image.bin");
    CHECK(a.mode == transfer_mode::octet);
    CHECK_FALSE(a.blksize);
    CHECK_FALSE(a.windowsize);
    CHECK(a.timeout == 1s);
    CHECK(a.retries == 5);
    CHECK_FALSE(a.give_up);
    CHECK(a.family == address_family::none);
    CHECK_FALSE((a.no_options || a.quiet || a.json));
}

TEST_CASE("options may stand before, between and behind the names", "[tftp][arguments]") {
    const arguments a =
        parse({"--quiet", "get", "--blksize=1024", "h", "-o", "x", "f", "--json", "-6"});
    CHECK(a.quiet);
    CHECK(a.json);
    CHECK(a.blksize == 1024);
    CHECK(a.host == "h");
    CHECK(a.remote == "f");
    CHECK(a.local == "x");
    CHECK(a.family == address_family::ipv6);
}

TEST_CASE("names behind -- may begin with a dash", "[tftp][arguments]") {
    const arguments a = parse({"get", "h", "--", "-f"});
    CHECK(a.remote == "-f");
    CHECK(a.local == "-f");
}

TEST_CASE("a dash as the local file of get is standard output", "[tftp][arguments]") {
    CHECK(parse({"get", "h", "f", "-o", "-"}).local.empty());
    CHECK(parse({"get", "h", "f", "-"}).local.empty());
    CHECK_THROWS_AS(parse({"get", "h", "f", "-o", "-", "--json"}), usage_error);
}

TEST_CASE("put names the file on the server after the local one", "[tftp][arguments]") {
    const arguments a = parse({"put", "h:6969", "/tmp/a/config"});
    CHECK(a.verb == transfer_direction::write);
    CHECK(a.port == 6969);
    CHECK(a.local == "/tmp/a/config");
    CHECK(a.remote == "config");
    CHECK(parse({"put", "h", "config", "dir/other"}).remote == "dir/other");
}

TEST_CASE("put refuses standard input and an output file", "[tftp][arguments]") {
    CHECK_THROWS_AS(parse({"put", "h", "-"}), usage_error);
    CHECK_THROWS_AS(parse({"put", "h", "f", "-o", "x"}), usage_error);
    CHECK(parse({"put", "h", "./-"}).remote == "-");
}

TEST_CASE("a URI gives host, port, file and mode", "[tftp][arguments][rfc3617]") {
    const arguments a = parse({"get", "tftp://[::1]:7000/a%20b/c;mode=netascii"});
    CHECK(a.host == "::1");
    CHECK(a.port == 7000);
    CHECK(a.remote == "a b/c");
    CHECK(a.local == "c");
    CHECK(a.mode == transfer_mode::netascii);
    CHECK(parse({"get", "tftp://h/f", "x"}).local == "x");

    const arguments b = parse({"put", "tftp://h/remote", "local"});
    CHECK(b.local == "local");
    CHECK(b.remote == "remote");
    CHECK_THROWS_AS(parse({"put", "tftp://h/remote"}), usage_error);
    CHECK_THROWS_AS(parse({"put", "tftp://h/remote", "local", "more"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "http://h/f"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "tftp://h/a%00b"}), usage_error);
}

TEST_CASE("a zone in a URI is written with % or %25", "[tftp][arguments]") {
    CHECK(parse({"get", "tftp://[fe80::1%eth0]/f"}).host == "fe80::1%eth0");
    CHECK(parse({"get", "tftp://[fe80::1%25eth0]/f"}).host == "fe80::1%eth0");
    CHECK(parse({"get", "tftp://[fe80::1%25]/f"}).host == "fe80::1%25");
}

TEST_CASE("options beat what host and URI say", "[tftp][arguments]") {
    CHECK(parse({"get", "h:1000", "f", "--port", "2000"}).port == 2000);
    CHECK(parse({"get", "tftp://h:1/f", "--port", "2"}).port == 2);
    CHECK(
        parse({"get", "tftp://h/f;mode=netascii", "--mode", "octet"}).mode == transfer_mode::octet
    );
}

TEST_CASE("a size is a number of bytes, or of powers of 1024", "[tftp][arguments]") {
    const auto size = [](const char* text) {
        return parse({"get", "h", "f", "--max-size", text}).max_size;
    };
    CHECK_FALSE(parse({"get", "h", "f"}).max_size);
    CHECK(size("1") == 1U);
    CHECK(size("1000") == 1000U);
    CHECK(size("16K") == 16384U);
    CHECK(size("16k") == 16384U);
    CHECK(size("3M") == std::uint64_t{3} << 20);
    CHECK(size("3g") == std::uint64_t{3} << 30);
    CHECK(size("2T") == std::uint64_t{2} << 40);
    CHECK(size("9223372036854775807") == 9223372036854775807U);
    for (const char* wrong :
         {"",
          "0",
          "0K",
          "-1",
          "+1",
          " 1",
          "1 ",
          "K",
          "1KB",
          "1KiB",
          "1X",
          "1.5M",
          "0x10",
          "1e3",
          "many",
          "9223372036854775808",
          "18446744073709551617",
          "8796093022208M",
          "8388608T"}) {
        INFO(wrong);
        CHECK_THROWS_WITH(size(wrong), Catch::Contains("--max-size takes a number of bytes"));
    }
    CHECK_THROWS_WITH(
        parse({"put", "h", "f", "--max-size", "5"}), Catch::Contains("--max-size is for get")
    );
}

TEST_CASE("the time of a whole transfer may be limited, for get and put", "[tftp][arguments]") {
    CHECK_FALSE(parse({"get", "h", "f"}).max_time);
    CHECK(parse({"get", "h", "f", "--max-time", "0.5"}).max_time == 500ms);
    CHECK(parse({"put", "h", "f", "--max-time=86400"}).max_time == 24h);
    for (const char* wrong : {"", "0", "-1", "nan", "inf", "5s", "1e9"}) {
        INFO(wrong);
        CHECK_THROWS_WITH(
            parse({"get", "h", "f", "--max-time", wrong}),
            Catch::Contains("--max-time takes seconds")
        );
    }
}

TEST_CASE("the default local name never leads out of the directory", "[tftp][arguments]") {
    CHECK(local_name_for("a") == "a");
    CHECK(local_name_for("/etc/passwd") == "passwd");
    CHECK(local_name_for("../../x") == "x");
    CHECK(local_name_for("..x") == "..x");
    for (const char* name : {"", "a/", "/", ".", "..", "a/..", "a/.", "../"}) {
        INFO(name);
        CHECK_THROWS_AS(local_name_for(name), usage_error);
    }
    CHECK(parse({"get", "tftp://h/a%2F..%2Fevil"}).local == "evil");
    CHECK_THROWS_AS(parse({"get", "tftp://h/a%2F.."}), usage_error);
    CHECK(parse({"get", "h", "dir/", "-o", "x"}).local == "x");
    // That name is standard output where it is given.
    CHECK_THROWS_AS(parse({"get", "h", "-"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", "a/-"}), usage_error);
    CHECK(parse({"get", "h", "a/-", "./-"}).local == "./-");
}

TEST_CASE("hosts are split from ports", "[tftp][arguments]") {
    struct example {
        const char* text;
        const char* host;
        int port;
    };

    for (const example& e : {
             example{"h", "h", 0},
             {"h:1", "h", 1},
             {"192.0.2.1:65535", "192.0.2.1", 65535},
             {"::1", "::1", 0},
             {"2001:db8::1:69", "2001:db8::1:69", 0},
             {"[::1]", "::1", 0},
             {"[::1]:6969", "::1", 6969},
             {"fe80::1%eth0", "fe80::1%eth0", 0},
             {"[fe80::1%eth0]:70", "fe80::1%eth0", 70},
         }) {
        INFO(e.text);
        const host_and_port split = split_host(e.text);
        CHECK(split.host == e.host);
        CHECK(split.port.value_or(0) == e.port);
    }
    for (const char* text :
         {"",
          ":69",
          "h:0",
          "h:65536",
          "h:x",
          "h:+1",
          "h:",
          "[::1",
          "[::1]x",
          "[::1]:",
          "[]",
          "[]:1"}) {
        INFO(text);
        CHECK_THROWS_AS(split_host(text), usage_error);
    }
}

TEST_CASE("put takes the way in which windows leave", "[tftp][arguments]") {
    using tftp::segmentation;
    CHECK(parse({"put", "h", "f"}).sends == segmentation::gso);
    CHECK(parse({"put", "h", "f", "--sends=gso"}).sends == segmentation::gso);
    CHECK(parse({"put", "h", "f", "--sends=batch"}).sends == segmentation::batch);
    CHECK(parse({"put", "h", "f", "--sends", "single"}).sends == segmentation::single);
    CHECK_THROWS_AS(parse({"put", "h", "f", "--sends=all"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", "f", "--sends=gso"}), usage_error);
}

TEST_CASE("numbers outside of their range are refused", "[tftp][arguments]") {
    for (const char* word :
         {"--blksize=7",   "--blksize=65465", "--blksize=-1",       "--blksize=8x",
          "--blksize=",    "--windowsize=0",  "--windowsize=32768", "--retries=0",
          "--retries=256", "--port=0",        "--port=65536",       "--timeout=0",
          "--timeout=nan", "--timeout=inf",   "--timeout=-1",       "--timeout=3601",
          "--timeout=1s",  "--give-up=0",     "--mode=mail",        "--blksize=99999999999",
          "--mode=OCTET",  "--unknown",       "--blk=512",          "--output="}) {
        INFO(word);
        CHECK_THROWS_AS(parse({"get", "h", "f", word}), usage_error);
    }
    CHECK(parse({"get", "h", "f", "--blksize=8"}).blksize == 8);
    CHECK(parse({"get", "h", "f", "--blksize=65464"}).blksize == 65464);
    CHECK(parse({"get", "h", "f", "--windowsize=32767"}).windowsize == 32767);
    CHECK(parse({"get", "h", "f", "--retries=255"}).retries == 255);
}

TEST_CASE("times take fractions of a second", "[tftp][arguments]") {
    CHECK(parse({"get", "h", "f", "--timeout", "0.25"}).timeout == 250ms);
    CHECK(parse({"get", "h", "f", "--give-up", "1.5"}).give_up == duration(1500ms));
}

TEST_CASE(
    "an option that spells a placeholder of Program_options is refused", "[tftp][arguments]"
) {
    CHECK_THROWS_WITH(
        parse({"--%canonical_option%", "get", "h", "f"}),
        "unrecognised option '--%canonical_option%'"
    );
    CHECK_THROWS_AS(parse({"-4%canonical_option%", "get", "h", "f"}), usage_error);
}

TEST_CASE("contradictions and missing names are refused", "[tftp][arguments]") {
    CHECK_THROWS_AS(parse({}), usage_error);
    CHECK_THROWS_AS(parse({"fetch", "h", "f"}), usage_error);
    CHECK_THROWS_AS(parse({"get"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", ""}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", "f", "x", "y"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", "f", "x", "-o", "y"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", "f", "-o"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", "f", "-4", "-6"}), usage_error);
    CHECK_THROWS_AS(parse({"get", "h", "f", "--no-options", "--blksize", "512"}), usage_error);
    CHECK_THROWS_AS(
        parse({"get", "h", "f", "--quiet", "--blksize", "9", "--blksize", "10"}), usage_error
    );
}

TEST_CASE("usage errors repeat hostile words escaped", "[tftp][arguments]") {
    try {
        (void)parse({"get", "h", "f", "--mode", "\x1b[2J"});
        FAIL("accepted");
    } catch (const usage_error& e) {
        CHECK(std::string(e.what()).find('\x1b') == std::string::npos);
    }
}

TEST_CASE("help and version need nothing else", "[tftp][arguments]") {
    CHECK(parse({"--help"}).action == action::show_help);
    CHECK(parse({"get", "--version"}).action == action::show_version);
    for (const char* option :
         {"--output",
          "--port",
          "--mode",
          "--blksize",
          "--windowsize",
          "--timeout",
          "--retries",
          "--give-up",
          "--sends",
          "--no-options",
          "--ipv4",
          "--ipv6",
          "--quiet",
          "--json",
          "--version",
          "--help"}) {
        CHECK(help_text().find(option) != std::string::npos);
    }
}
