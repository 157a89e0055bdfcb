#include "support/files.hpp"
#include "support/service_thread.hpp"

#include <tftp/client/blocking.hpp>

#include <boost/system/system_error.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <optional>
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
    asked.options.tsize = 0;
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

TEST_CASE("an address without a family is an error, not a wait", "[driver][blocking]") {
    memory_sink into(100);
    error_code error;
    CHECK(get(ask({}, "file"), into, error).outcome == error);
    CHECK(error == boost::system::errc::address_family_not_supported);
}
