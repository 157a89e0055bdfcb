#include "support/files.hpp"
#include "support/service_thread.hpp"
#include "support/skip.hpp"
#include "support/temp_directory.hpp"

#include <tftp/client.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <thread>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

[[nodiscard]] std::string url_of(const endpoint& server, const std::string& name) {
    return "tftp://" + to_string(server) + "/" + name;
}

} // namespace

TEST_CASE("a line gets a file into memory", "[client][url]") {
    service_thread serving;
    serving.files.set("boot.cfg", "default linux\n");
    const auto family = GENERATE(address_family::ipv4, address_family::ipv6);
    const auto menu = tftp::get(url_of(serving.address(family), "boot.cfg"), {.timeout = 5s});
    CHECK(menu.text() == "default linux\n");
    CHECK(menu.bytes().size() == 14);
    CHECK(menu.summary().agreed.windowsize > 1); // options are automatic
    CHECK(menu.summary().failed == failing_side::none);
}

TEST_CASE("a host is looked up by its name", "[client][url]") {
    need_host("localhost");
    service_thread serving;
    serving.files.set("boot.cfg", "default linux\n");
    // The name may have two addresses; nobody listens at one of them.
    const std::string port = std::to_string(serving.address(address_family::ipv4).port);
    CHECK(get("tftp://localhost:" + port + "/boot.cfg").text() == "default linux\n");
    // A local address leaves those of its family.
    CHECK(
        get("tftp://localhost:" + port + "/boot.cfg", {.local = "127.0.0.1"}).text().size() == 14
    );
}

TEST_CASE("a URL says the mode of the transfer", "[client][url][netascii]") {
    service_thread serving;
    serving.files.set("text", "one\ntwo\n");
    const std::string url = url_of(serving.address(address_family::ipv4), "text;mode=netascii");
    const download text = get(url);
    CHECK(text.text() == "one\ntwo\n");
    CHECK(text.summary().mode == transfer_mode::netascii);
    CHECK(text.summary().counters.bytes == 10);
}

TEST_CASE("files are got and put by their names", "[client][url]") {
    service_thread serving;
    temp_directory here;
    const std::string content = make_content(100'000, 1);
    write_file(here.path() / "running.cfg", content);
    const std::string url = url_of(serving.address(address_family::ipv4), "cfg");
    CHECK(tftp::put(url, tftp::file(here.path() / "running.cfg")).counters.bytes == content.size());
    CHECK((serving.files.get("cfg") == content));
    CHECK(tftp::get(url, tftp::file(here.path() / "copy")).counters.bytes == content.size());
    CHECK((read_file(here.path() / "copy") == content));
    CHECK(tftp::put(url, tftp::text("short")).counters.bytes == 5);
    CHECK(get(url).text() == "short");
}

TEST_CASE("what is thrown says what the server said", "[client][url]") {
    loopback_peer serving;
    std::thread answers([&] {
        serving.say(serving.hear().value().first, error_packet(1, "no such\x1b[2J menu"));
    });
    const std::string url = url_of(serving.local(), "menu");
    try {
        static_cast<void>(get(url));
        FAIL("no file, no error");
    } catch (const tftp::error& failed) {
        CHECK(failed.code() == peer_errc::not_found);
        CHECK(failed.side() == failing_side::peer);
        CHECK(failed.peer_text() == "no such\x1b[2J menu");
        CHECK(
            failed.what() == url + ": the server says \"no such\\x1b[2J menu\" (The other side has "
                                   "no such file)"
        );
        CHECK(failed.summary().counters.blocks == 0);
    }
    answers.join();
}

TEST_CASE("what cannot begin says why and whose failure it is", "[client][url]") {
    error_code failed;
    SECTION("a URL that is none") {
        CHECK_THROWS_WITH(
            get("boothost/boot.cfg"), Catch::Contains("does not have the form tftp://host")
        );
        memory_sink into(10);
        CHECK(get("http://host/x", into, {}, failed).failed == failing_side::own);
        CHECK(failed == errc::bad_uri);
    }
    SECTION("an interface of an address") {
        CHECK_THROWS_WITH(
            get("tftp://[fe80::1%nosuchif]/x"),
            "tftp://[fe80::1%nosuchif]/x: fe80::1%nosuchif: there is no such network interface: "
            "see "
            "'ip link'"
        );
    }
    SECTION("a file of this side") {
        const auto ended = put("tftp://127.0.0.1/x", file("/nonesuch/file"), {}, failed);
        CHECK(ended.failed == failing_side::content);
        CHECK(failed == boost::system::errc::no_such_file_or_directory);
        CHECK_THROWS_WITH(
            put("tftp://127.0.0.1/x", file("/nonesuch/file")),
            Catch::Contains("on this side: No such file")
        );
        CHECK_THROWS_AS(get("tftp://127.0.0.1/x", file("/nonesuch/file")), tftp::error);
    }
    SECTION("a port where nobody listens") {
        const endpoint nobody =
            udp_socket::open(loopback(address_family::ipv4), {}).value()->local_endpoint();
        memory_sink into(10);
        CHECK(get(url_of(nobody, "x"), into, {}, failed).failed == failing_side::network);
        CHECK(failed == boost::system::errc::connection_refused);
    }
}

TEST_CASE("a download into memory is bounded", "[client][url]") {
    service_thread serving;
    serving.files.set("file", std::string(1000, 'x'));
    const std::string url = url_of(serving.address(address_family::ipv4), "file");
    try {
        static_cast<void>(get(url, {.size_max_bytes = 999}));
        FAIL("too much, no error");
    } catch (const tftp::error& failed) {
        CHECK(failed.code() == errc::too_large);
        CHECK(failed.side() == failing_side::own);
    }
}

TEST_CASE("a failure has a sentence", "[client][url]") {
    transfer_summary ended;
    ended.outcome = errc::timed_out;
    ended.failed = failing_side::network;
    CHECK(explain(ended) == "The other side stopped answering");
    ended.send_error = make_error_code(boost::system::errc::operation_not_permitted);
    CHECK_THAT(explain(ended), Catch::Contains("(sending failed: Operation not permitted)"));
    ended.outcome = errc::oversize;
    ended.failed = failing_side::peer;
    CHECK_THAT(explain(ended), Catch::StartsWith("the server broke the protocol: "));
    ended.outcome = peer_errc::disk_full;
    CHECK(explain(ended) == "The other side has no room for the file");
}
