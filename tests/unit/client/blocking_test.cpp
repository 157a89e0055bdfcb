#include "support/files.hpp"
#include "support/service_thread.hpp"

#include <tftp/client/blocking.hpp>
#include <tftp/content/content.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <boost/system/system_error.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

/// Lets a transfer go on for a number of calls.
class patience final : public progress_monitor {
public:
    explicit patience(int calls) : left_(calls) {}

    [[nodiscard]] bool
    on_progress(std::uint64_t bytes, std::optional<std::uint64_t> total) noexcept override {
        seen = bytes;
        announced = total;
        return left_-- > 0;
    }

    std::uint64_t seen = 0;
    std::optional<std::uint64_t> announced;

private:
    int left_;
};

client_request ask(const endpoint& to, const std::string& name) {
    client_request asked;
    asked.options = no_options;
    asked.server = to;
    asked.filename = name;
    return asked;
}

} // namespace

TEST_CASE("get and put return when the file is there", "[driver][blocking]") {
    const auto family = GENERATE(address_family::ipv4, address_family::ipv6);
    need_family(family);
    const auto size = GENERATE(as<std::size_t>(), 0, 512, 200'000);
    const auto sends = GENERATE(segmentation::gso, segmentation::batch, segmentation::single);
    service_thread serving;
    const std::string content = make_content(size, 1);
    memory_source from(std::as_bytes(std::span(content)));
    client_request asked = ask(serving.address(family), "file");
    asked.options = default_offer(1428);
    asked.sends = sends;
    CHECK(put(asked, from).counters.bytes == size);
    CHECK((serving.files.get("file") == content));
    memory_sink into(1 << 20);
    CHECK(get(asked, into).counters.bytes == size);
    CHECK(into.content().size() == size);
    CHECK(std::ranges::equal(into.content(), std::as_bytes(std::span(content))));
}

TEST_CASE("the throwing forms throw the outcome", "[driver][blocking]") {
    service_thread serving;
    const client_request asked = ask(serving.address(address_family::ipv4), "nothing");
    memory_sink into(100);
    try {
        get(asked, into);
        FAIL("no file, no error");
    } catch (const boost::system::system_error& failed) {
        CHECK(failed.code() == peer_errc::not_found);
    }
    serving.files.fail("full", make_error_code(boost::system::errc::no_space_on_device));
    memory_source from({});
    CHECK_THROWS_AS(
        put(ask(serving.address(address_family::ipv4), "full"), from), boost::system::system_error
    );
}

TEST_CASE("a monitor sees progress and may end the transfer", "[driver][blocking]") {
    loopback_peer serving;
    bool told = false;
    std::thread answers([&] {
        const endpoint client = serving.hear().value().first;
        serving.say(client, oack({{"tsize", "5000"}}));
        static_cast<void>(serving.hear());
        serving.say(client, data(1));
        // Then nothing more: the monitor loses its patience.
        while (!told) {
            told = serving.hear().value().second[1] == std::byte{5};
        }
    });
    client_request asked = ask(serving.local(), "file");
    asked.options->tsize = 0;
    memory_sink into(10'000);
    patience monitor(2);
    error_code error;
    const auto ended = get(asked, into, error, &monitor);
    answers.join();
    CHECK(told);
    CHECK(error == errc::stopped);
    CHECK(ended.outcome == errc::stopped);
    CHECK(monitor.seen == 512);
    CHECK(monitor.announced == 5000);
    CHECK_FALSE(into.committed());
}

TEST_CASE("a request goes out with options that suit the route", "[driver][blocking]") {
    service_thread serving;
    const std::string content = make_content(100'000, 1);
    serving.files.set("file", content);
    client_request asked;
    asked.server = serving.address(address_family::ipv4);
    asked.filename = "file";
    memory_sink into(1 << 20);
    const auto ended = get(asked, into);
    CHECK(ended.agreed.blksize == 8192);
    CHECK(ended.agreed.windowsize > 1);
    CHECK(ended.agreed.tsize == content.size());
}

TEST_CASE("a transfer comes from the port and the interface of its request", "[driver][blocking]") {
    service_thread serving;
    serving.files.set("file", "content");
    const auto family = GENERATE(address_family::ipv4, address_family::ipv6);
    client_request asked = ask(serving.address(family), "file");
    memory_sink into(100);
    error_code error;
    asked.device = "lo";
    const std::string address = family == address_family::ipv4 ? "127.0.0.1" : "[::1]";
    SECTION("an address") {
        asked.local = address;
    }
    SECTION("address and port") {
        // Closed again at once: nobody else is given this port so soon.
        const auto free = udp_socket::open(loopback(family), {}).value()->local_endpoint();
        const bool with_address = GENERATE(false, true);
        asked.local = (with_address ? address : "") + ":" + std::to_string(free.port);
        const auto ended = get(asked, into, error);
        CHECK(ended.local.port == free.port);
        CHECK(ended.local.same_host(free) == with_address);
        return;
    }
    CHECK(get(asked, into, error).local.same_host(loopback(family)));
    CHECK_FALSE(error);
    asked.device = "nonesuch";
    CHECK(get(asked, into, error).failed == failing_side::network);
    CHECK(error == boost::system::errc::no_such_device);
}

TEST_CASE("a failure of the sink is told as one", "[driver][blocking]") {
    class full final : public sink {
    public:
        error_code reserve(std::uint64_t) noexcept override { return {}; }

        error_code write(std::uint64_t, std::span<const ::iovec>) noexcept override {
            return make_error_code(boost::system::errc::no_space_on_device);
        }

        error_code commit() noexcept override { return {}; }
    };

    service_thread serving;
    serving.files.set("file", "content");
    full into;
    error_code error;
    const auto ended = get(ask(serving.address(address_family::ipv4), "file"), into, error);
    CHECK(error == boost::system::errc::no_space_on_device);
    CHECK(ended.failed == failing_side::content);
}

TEST_CASE("a stream is uploaded in windows, whatever is lost on the way", "[driver][blocking]") {
    service_thread serving;
    const std::string content = make_content(300'001, 1);
    std::istringstream text(content);
    const tftp::content from = stream(
        text, GENERATE(std::optional<std::uint64_t>(), std::optional<std::uint64_t>(300'001))
    );
    client_request asked = ask(serving.address(address_family::ipv4), "file");
    asked.options = default_offer(1428);
    asked.mode = transfer_mode::octet;
    CHECK(put(asked, **from.opened()).counters.bytes == content.size());
    CHECK((serving.files.get("file") == content));
}

TEST_CASE("an address without a family is an error, not a wait", "[driver][blocking]") {
    memory_sink into(100);
    error_code error;
    CHECK(get(ask({}, "file"), into, error).outcome == error);
    CHECK(error == errc::no_server);
}
