#include "support/files.hpp"
#include "support/service_thread.hpp"
#include "support/temp_directory.hpp"

#include <tftp/version.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <tftp.h>
#include <thread>
#include <vector>

using namespace tftp;
using namespace tftp::test;

namespace {

[[nodiscard]] std::string url_of(const service_thread& serving, const std::string& name) {
    return "tftp://" + serving.address(address_family::ipv4).to_string() + "/" + name;
}

/// What tftp_get_memory() returned.
struct memory {
    memory() = default;
    memory(const memory&) = delete;
    memory& operator=(const memory&) = delete;

    ~memory() { tftp_free(data); }

    [[nodiscard]] std::string_view text() const { return {static_cast<const char*>(data), size}; }

    void* data = nullptr;
    std::size_t size = 0;
};

int append(void* user, const void* data, std::size_t size) {
    CHECK(size > 0);
    static_cast<std::string*>(user)->append(static_cast<const char*>(data), size);
    return 0;
}

int take(void* user, void* buffer, std::size_t capacity, std::size_t* size) {
    CHECK(capacity > 0);
    auto& left = *static_cast<std::string_view*>(user);
    // Less than there is room for, as pipes do.
    *size = left.copy(static_cast<char*>(buffer), std::min<std::size_t>(capacity, 1000));
    left.remove_prefix(*size);
    return 0;
}

} // namespace

TEST_CASE("the C library has the version of the C++ one", "[capi]") {
    CHECK(tftp_version() == std::string(version));
}

TEST_CASE("a C program gets a file into memory", "[capi]") {
    service_thread serving;
    const std::string content = make_content(GENERATE(0U, 1U, 100'000U), 1);
    serving.files.set("file", content);
    memory got;
    tftp_result result;
    std::memset(&result, 0xff, sizeof result);
    const std::string url = url_of(serving, "file");
    CHECK(tftp_get_memory(url.c_str(), &got.data, &got.size, nullptr, &result) == TFTP_OK);
    REQUIRE(got.data != nullptr);
    CHECK((got.text() == content));
    CHECK(static_cast<const char*>(got.data)[got.size] == '\0');
    CHECK(result.status == TFTP_OK);
    CHECK(result.side == TFTP_SIDE_NONE);
    CHECK(result.server_code == -1);
    CHECK(result.system_error == 0);
    CHECK(result.bytes == content.size());
    CHECK(result.seconds > 0);
    CHECK(result.seconds < 60);
    CHECK(result.blksize > 512);
    CHECK(result.windowsize > 1);
    CHECK(result.message == std::string());
    CHECK(result.server_text == std::string());
    CHECK(std::ranges::all_of(result.reserved, [](std::uint64_t each) { return each == 0; }));
}

TEST_CASE("a C program puts what it has in memory", "[capi]") {
    const service_thread serving;
    const std::string content = make_content(GENERATE(0U, 70'000U), 2);
    const std::string url = url_of(serving, "copy");
    tftp_result result;
    const void* const data = content.empty() ? nullptr : content.data();
    CHECK(tftp_put_memory(url.c_str(), data, content.size(), nullptr, &result) == TFTP_OK);
    CHECK(result.bytes == content.size());
    CHECK((serving.files.get("copy") == content));
}

TEST_CASE("a C program gets and puts files", "[capi]") {
    const service_thread serving;
    const temp_directory here;
    const std::string from = here.path() / "from";
    const std::string to = here.path() / "to";
    const std::string content = make_content(300'000, 3);
    write_file(from, content);
    const std::string url = url_of(serving, "file");
    CHECK(tftp_put_file(url.c_str(), from.c_str(), nullptr, nullptr) == TFTP_OK);
    CHECK((serving.files.get("file") == content));
    CHECK(tftp_get_file(url.c_str(), to.c_str(), nullptr, nullptr) == TFTP_OK);
    CHECK(holds(to, content));
}

TEST_CASE("a C program's functions take and bring content in order", "[capi]") {
    const service_thread serving;
    const std::string content = make_content(200'000, 4);
    const std::string url = url_of(serving, "file");
    const std::uint64_t size = GENERATE(TFTP_SIZE_UNKNOWN, 200'000U);
    std::string_view left = content;
    CHECK(tftp_put_callback(url.c_str(), take, &left, size, nullptr, nullptr) == TFTP_OK);
    CHECK((serving.files.get("file") == content));
    std::string came;
    CHECK(tftp_get_callback(url.c_str(), append, &came, nullptr, nullptr) == TFTP_OK);
    CHECK((came == content));
}

TEST_CASE("a URL of a C program says the mode", "[capi][netascii]") {
    service_thread serving;
    serving.files.set("text", "one\ntwo\n");
    memory got;
    tftp_result result;
    const std::string url = url_of(serving, "text;mode=netascii");
    CHECK(tftp_get_memory(url.c_str(), &got.data, &got.size, nullptr, &result) == TFTP_OK);
    CHECK(got.text() == "one\ntwo\n");
    CHECK(result.bytes == 10);
}

TEST_CASE("a C program hears of progress", "[capi]") {
    service_thread serving;
    const std::string content = make_content(5000, 5);
    serving.files.set("file", content);

    struct heard {
        std::uint64_t bytes = 0;
        std::uint64_t total = 0;
    } last;

    tftp_options options{};
    options.size = sizeof options;
    options.progress = [](void* user, std::uint64_t bytes, std::uint64_t total) {
        *static_cast<heard*>(user) = {bytes, total};
        return 0;
    };
    options.progress_user = &last;
    memory got;
    const std::string url = url_of(serving, "file");
    CHECK(tftp_get_memory(url.c_str(), &got.data, &got.size, &options, nullptr) == TFTP_OK);
    CHECK(last.bytes == content.size());
    CHECK(last.total == content.size());
    options.no_options = 1; // no tsize then
    CHECK(
        tftp_get_callback(
            url.c_str(),
            [](void*, const void*, std::size_t) { return 0; },
            nullptr,
            &options,
            nullptr
        ) == TFTP_OK
    );
    CHECK(last.total == TFTP_SIZE_UNKNOWN);
}

TEST_CASE("threads have transfers of their own", "[capi]") {
    service_thread serving;
    std::array<std::string, 4> contents;
    for (std::size_t n = 0; n < contents.size(); ++n) {
        contents[n] = make_content(100'000, n);
        serving.files.set(std::to_string(n), contents[n]);
    }
    std::atomic<unsigned> right = 0;
    std::vector<std::thread> threads;
    for (std::size_t n = 0; n < contents.size(); ++n) {
        threads.emplace_back([&, n] {
            memory got;
            const std::string url = url_of(serving, std::to_string(n));
            if (tftp_get_memory(url.c_str(), &got.data, &got.size, nullptr, nullptr) == TFTP_OK &&
                got.text() == contents[n]) {
                ++right;
            }
        });
    }
    for (std::thread& each : threads) {
        each.join();
    }
    CHECK(right == contents.size());
}
