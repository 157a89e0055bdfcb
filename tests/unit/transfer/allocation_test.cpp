#include "support/counting_sink.hpp"
#include "support/files.hpp"
#include "support/sim_world.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

namespace {

std::atomic<std::size_t> allocations = 0;

} // namespace

// Counted for all that is linked into this program; the other forms end in these.
void* operator new(std::size_t size) {
    ++allocations;
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;

TEST_CASE("a transfer under way allocates nothing", "[driver][transfer][service]") {
    constexpr std::size_t size = 4'000'000;
    const std::string content = make_content(size, 1);
    const auto window = GENERATE(as<std::uint16_t>(), 1, 64);
    const auto verb = GENERATE(transfer_direction::read, transfer_direction::write);
    const bool in_place = GENERATE(false, true);
    sim_world w;
    w.network.holds = in_place;
    w.files.in_place = in_place;
    w.files.set("file", content);
    client_request asked;
    asked.options = no_options;
    asked.server = service_address;
    asked.filename = "file";
    asked.options->windowsize = window;
    counting_sink into;
    memory_source from(as_octets(content));
    const auto t = verb == transfer_direction::read
                       ? begin_get(asked, into, w.client_host, w.now).value()
                       : begin_put(asked, from, w.client_host, w.now).value();
    w.clients.push_back(t.get());
    t->start(w.memory, w.now);
    // An upload grows a vector in memory_content: its doublings are the only ones allowed.
    const std::size_t allowed = verb == transfer_direction::read ? 0 : 2;
    while (t->counters().bytes < size / 4) {
        REQUIRE(w.turn());
    }
    const std::size_t before = allocations;
    const std::uint64_t datagrams = w.network.sent;
    while (t->counters().bytes < size / 4 * 3) {
        // No check in here: it would allocate.
        if (!w.turn()) {
            break;
        }
    }
    const std::size_t during = allocations - before;
    CHECK(w.network.sent - datagrams > size / 2 / 512);
    CHECK(during <= allowed);
    const bool served_in_place = in_place && verb == transfer_direction::read && window == 64;
    CHECK((w.network.calls(port_call::release) > size / 512 / 64 / 2) == served_in_place);
    w.advance(1min);
    CHECK_FALSE(t->summary().outcome);
}
