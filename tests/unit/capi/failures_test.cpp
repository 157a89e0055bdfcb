#include "support/loopback.hpp"
#include "support/service_thread.hpp"
#include "support/temp_directory.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <tftp.h>
#include <thread>
#include <utility>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* some_url = "tftp://127.0.0.1/x";

[[nodiscard]] std::string url_of(const endpoint& server, const std::string& name = "file") {
    return "tftp://" + server.to_string() + "/" + name;
}

[[nodiscard]] std::string url_of(const service_thread& serving, const std::string& name = "file") {
    return url_of(serving.address(address_family::ipv4), name);
}

int swallow(void* /*user*/, const void* /*data*/, std::size_t /*size*/) {
    return 0;
}

[[nodiscard]] tftp_options new_options() {
    tftp_options options{};
    options.size = sizeof options;
    return options;
}

/// Gets a file that goes nowhere; checks that the result says the same as the call.
[[nodiscard]] tftp_result result_of(const std::string& url, const tftp_options* options = nullptr) {
    tftp_result result{};
    CHECK(tftp_get_callback(url.c_str(), swallow, nullptr, options, &result) == result.status);
    return result;
}

/// A server whose answer to the first request is `answer`.
class answering_peer {
public:
    explicit answering_peer(datagram answer)
        : thread_([this, answer = std::move(answer)] {
              peer_.say(peer_.hear().value().first, answer);
          }) {}

    ~answering_peer() { thread_.join(); }

    answering_peer(const answering_peer&) = delete;
    answering_peer& operator=(const answering_peer&) = delete;

    [[nodiscard]] std::string url() const { return url_of(peer_.local()); }

private:
    loopback_peer peer_;
    std::thread thread_;
};

} // namespace

TEST_CASE("each ERROR of a server has its status in C", "[capi]") {
    const auto& [code, status] = GENERATE(
        std::pair{peer_errc::not_found, TFTP_NOT_FOUND},
        std::pair{peer_errc::access_violation, TFTP_ACCESS},
        std::pair{peer_errc::disk_full, TFTP_DISK_FULL},
        std::pair{peer_errc::file_exists, TFTP_EXISTS},
        std::pair{peer_errc::no_such_user, TFTP_OTHER}
    );
    const answering_peer serving(error_packet(code, "no\x1b[2J"));
    const tftp_result result = result_of(serving.url());
    CHECK(result.status == status);
    CHECK(result.side == TFTP_SIDE_SERVER);
    CHECK(result.server_code == static_cast<int>(code));
    CHECK(result.system_error == 0);
    CHECK(result.server_text == std::string("no\x1b[2J"));
    CHECK_THAT(result.message, Catch::StartsWith("the server says \"no\\x1b[2J\" (The "));
}

TEST_CASE("a long text of a server is cut", "[capi]") {
    const answering_peer serving(error_packet(1, std::string(700, 'x')));
    const tftp_result result = result_of(serving.url());
    CHECK(result.status == TFTP_NOT_FOUND);
    CHECK(std::strlen(result.message) == sizeof result.message - 1);
    CHECK(std::strlen(result.server_text) == sizeof result.server_text - 1);
}

TEST_CASE("options that were not asked for are refused in C", "[capi]") {
    const answering_peer serving(oack({{"blksize", "65000"}}));
    const tftp_result result = result_of(serving.url());
    CHECK(result.status == TFTP_OPTION_REFUSED);
    CHECK(result.side == TFTP_SIDE_SERVER);
    CHECK(result.server_code == -1);
}

TEST_CASE("a closed port is a failure of the network", "[capi]") {
    const endpoint nobody = loopback_peer().local();
    const tftp_result result = result_of(url_of(nobody));
    CHECK(result.status == TFTP_NETWORK);
    CHECK(result.side == TFTP_SIDE_NETWORK);
    CHECK(result.system_error == ECONNREFUSED);
    CHECK(result.message == std::string("Connection refused"));
}

TEST_CASE("a silent server is given up", "[capi]") {
    loopback_peer silent;
    tftp_options options = new_options();
    SECTION("when the time of the whole transfer is over") {
        options.timeout_ms = 20;
        const tftp_result result = result_of(url_of(silent.local()), &options);
        CHECK(result.status == TFTP_TIMED_OUT);
        CHECK(result.side == TFTP_SIDE_OWN);
        CHECK(result.message == std::string("The transfer took longer than allowed here"));
    }
    SECTION("when the request was sent often enough") {
        options.request_sends = 2;
        options.request_interval_ms = 5;
        options.timeout_ms = 2500; // before a second interval of 1 s would be over
        const tftp_result result = result_of(url_of(silent.local()), &options);
        CHECK(result.status == TFTP_TIMED_OUT);
        CHECK(result.side == TFTP_SIDE_NETWORK);
        CHECK(result.message == std::string("The other side stopped answering"));
        CHECK(silent.hear(0ms));
        CHECK(silent.hear(0ms));
        CHECK_FALSE(silent.hear(0ms));
    }
    SECTION("when progress() says so") {
        options.progress = [](void*, std::uint64_t, std::uint64_t) { return 1; };
        const tftp_result result = result_of(url_of(silent.local()), &options);
        CHECK(result.status == TFTP_STOPPED);
        CHECK(result.side == TFTP_SIDE_OWN);
    }
}

TEST_CASE("a server that falls silent is given up", "[capi]") {
    const answering_peer serving(data(1));
    tftp_options options = new_options();
    options.no_options = 1;
    options.silence_ms = 20;
    options.timeout_ms = 10'000; // not what ends it
    const tftp_result result = result_of(serving.url(), &options);
    CHECK(result.status == TFTP_TIMED_OUT);
    CHECK(result.side == TFTP_SIDE_NETWORK);
    CHECK(result.bytes == 512);
}

TEST_CASE("a URL that is none is invalid", "[capi]") {
    const char* const url =
        GENERATE("", "boothost/file", "http://host/file", "tftp://", "tftp://h");
    const tftp_result result = result_of(url);
    CHECK(result.status == TFTP_INVALID);
    CHECK(result.side == TFTP_SIDE_OWN);
    CHECK_THAT(result.message, Catch::Contains("does not have the form tftp://host"));
}

TEST_CASE("a name that fits no request is invalid", "[capi]") {
    const tftp_result result = result_of("tftp://127.0.0.1/" + std::string(600, 'x'));
    CHECK(result.status == TFTP_INVALID);
    CHECK_FALSE(std::string(result.message).empty());
}

TEST_CASE("NULL is invalid", "[capi]") {
    tftp_result result{};
    void* data = &result;
    std::size_t size = 1;
    SECTION("url") {
        CHECK(tftp_get_callback(nullptr, swallow, nullptr, nullptr, &result) == TFTP_INVALID);
        CHECK(result.message == std::string("url is NULL"));
        CHECK(tftp_get_file(nullptr, "/nonesuch/x", nullptr, nullptr) == TFTP_INVALID);
        CHECK(tftp_get_memory(nullptr, &data, &size, nullptr, nullptr) == TFTP_INVALID);
        CHECK(data == nullptr);
        CHECK(size == 0);
        CHECK(tftp_put_file(nullptr, "/nonesuch/x", nullptr, nullptr) == TFTP_INVALID);
        CHECK(tftp_put_memory(nullptr, "", 0, nullptr, nullptr) == TFTP_INVALID);
    }
    SECTION("path") {
        CHECK(tftp_get_file(some_url, nullptr, nullptr, &result) == TFTP_INVALID);
        CHECK(result.message == std::string("path is NULL"));
        CHECK(tftp_put_file(some_url, nullptr, nullptr, nullptr) == TFTP_INVALID);
    }
    SECTION("data and size") {
        CHECK(tftp_get_memory(some_url, nullptr, &size, nullptr, &result) == TFTP_INVALID);
        CHECK(result.message == std::string("data is NULL"));
        CHECK(tftp_get_memory(some_url, &data, nullptr, nullptr, &result) == TFTP_INVALID);
        CHECK(result.message == std::string("size is NULL"));
        CHECK(data == nullptr);
        CHECK(tftp_put_memory(some_url, nullptr, 1, nullptr, &result) == TFTP_INVALID);
        CHECK(result.message == std::string("data is NULL"));
    }
    SECTION("functions") {
        CHECK(tftp_get_callback(some_url, nullptr, nullptr, nullptr, &result) == TFTP_INVALID);
        CHECK(result.message == std::string("write is NULL"));
        CHECK(
            tftp_put_callback(some_url, nullptr, nullptr, TFTP_SIZE_UNKNOWN, nullptr, &result) ==
            TFTP_INVALID
        );
        CHECK(result.message == std::string("read is NULL"));
    }
    SECTION("nothing is freed") {
        tftp_free(nullptr);
    }
}

TEST_CASE("a file on this side has a status of its own", "[capi]") {
    tftp_result result{};
    SECTION("read") {
        CHECK(tftp_put_file(some_url, "/nonesuch/file", nullptr, &result) == TFTP_LOCAL_FILE);
    }
    SECTION("written") {
        service_thread serving;
        serving.files.set("file", "x");
        CHECK(
            tftp_get_file(url_of(serving).c_str(), "/nonesuch/file", nullptr, &result) ==
            TFTP_LOCAL_FILE
        );
    }
    CHECK(result.side == TFTP_SIDE_CONTENT);
    CHECK(result.system_error == ENOENT);
    CHECK(result.message == std::string("the content on this side: No such file or directory"));
}

TEST_CASE("a transfer that fails leaves no file", "[capi]") {
    const service_thread serving;
    const temp_directory here;
    const std::string path = here.path() / "file";
    CHECK(tftp_get_file(url_of(serving).c_str(), path.c_str(), nullptr, nullptr) == TFTP_NOT_FOUND);
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a function of a C program stops the transfer", "[capi]") {
    service_thread serving;
    serving.files.set("file", std::string(100'000, 'x'));
    const std::string url = url_of(serving);
    tftp_result result{};
    unsigned calls = 0;
    SECTION("that takes") {
        const auto stop = [](void* user, const void*, std::size_t) {
            ++*static_cast<unsigned*>(user);
            return -1;
        };
        CHECK(tftp_get_callback(url.c_str(), stop, &calls, nullptr, &result) == TFTP_STOPPED);
    }
    SECTION("that brings") {
        const auto stop = [](void* user, void*, std::size_t, std::size_t*) {
            ++*static_cast<unsigned*>(user);
            return 1;
        };
        CHECK(
            tftp_put_callback(url.c_str(), stop, &calls, TFTP_SIZE_UNKNOWN, nullptr, &result) ==
            TFTP_STOPPED
        );
        CHECK(serving.files.get("file")->size() == 100'000);
    }
    CHECK(calls == 1);
    CHECK(result.status == TFTP_STOPPED);
    CHECK(result.side == TFTP_SIDE_OWN);
    CHECK(result.message == std::string("The transfer was stopped on this side"));
}

TEST_CASE("a function that brings more than there is room for is content that failed", "[capi]") {
    const service_thread serving;
    const auto lie = [](void*, void*, std::size_t capacity, std::size_t* size) {
        *size = capacity + 1;
        return 0;
    };
    tftp_result result{};
    CHECK(
        tftp_put_callback(
            url_of(serving).c_str(), lie, nullptr, TFTP_SIZE_UNKNOWN, nullptr, &result
        ) == TFTP_LOCAL_FILE
    );
    CHECK(result.side == TFTP_SIDE_CONTENT);
    CHECK(result.system_error == EOVERFLOW);
}

TEST_CASE("a file that is too large is not got", "[capi]") {
    void* data = nullptr;
    std::size_t size = 0;
    tftp_result result{};
    SECTION("larger than it may be") {
        service_thread serving;
        serving.files.set("file", std::string(1000, 'x'));
        tftp_options options = new_options();
        options.size_max = 999;
        result = result_of(url_of(serving), &options);
        options.size_max = 1000;
        CHECK(result_of(url_of(serving), &options).status == TFTP_OK);
    }
    SECTION("larger than memory should be, by default") {
        const answering_peer serving(oack({{"tsize", "268435457"}}));
        CHECK(
            tftp_get_memory(serving.url().c_str(), &data, &size, nullptr, &result) == TFTP_TOO_LARGE
        );
    }
    CHECK(result.status == TFTP_TOO_LARGE);
    CHECK(result.side == TFTP_SIDE_OWN);
    CHECK(data == nullptr);
    CHECK(size == 0);
}
