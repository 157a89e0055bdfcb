#include <tftp/socket/scratch.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <malloc.h>
#include <memory>
#include <vector>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

using tftp::bytes_view;
using tftp::received;
using tftp::scratch;

namespace {

std::vector<std::size_t> sizes_of(bytes_view bytes, std::size_t segment) {
    received message;
    message.bytes = bytes;
    message.segment = segment;
    std::vector<std::size_t> sizes;
    message.for_each_datagram([&](bytes_view datagram) { sizes.push_back(datagram.size()); });
    return sizes;
}

} // namespace

TEST_CASE("the receive slots lie apart and are of full size", "[io][scratch]") {
    scratch memory;
    CHECK(memory.arena().size() == scratch::arena_size);
    for (std::size_t i = 0; i < scratch::receive_slots; ++i) {
        const tftp::bytes_span slot = memory.slot(i);
        REQUIRE(slot.size() == scratch::slot_size);
        std::fill(slot.begin(), slot.end(), static_cast<std::byte>(i));
    }
    for (std::size_t i = 0; i < scratch::receive_slots; ++i) {
        const tftp::bytes_span slot = memory.slot(i);
        CHECK(std::all_of(slot.begin(), slot.end(), [i](std::byte b) {
            return b == static_cast<std::byte>(i);
        }));
    }
}

TEST_CASE("a coalesced message falls into its datagrams", "[io][scratch]") {
    const std::array<std::byte, 10> bytes{};
    using sizes = std::vector<std::size_t>;
    CHECK(sizes_of(bytes, 10) == sizes{10});
    CHECK(sizes_of(bytes, 5) == sizes{5, 5});
    CHECK(sizes_of(bytes, 4) == sizes{4, 4, 2});
    CHECK(sizes_of({}, 1) == sizes{0});
}

TEST_CASE("memory that no message has used is not resident", "[io][scratch]") {
    // Some systems give huge pages to everybody, others to nobody.
    REQUIRE(::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    // What earlier tests have freed may be given out again, and is not to be resident either.
    static_cast<void>(::malloc_trim(0));
    scratch memory;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* ring = memory.slot(0).data();
    std::size_t size = scratch::receive_slots * scratch::slot_size;
    REQUIRE(std::align(page, page, ring, size) != nullptr);
    std::vector<unsigned char> resident(size / page);
    REQUIRE(::mincore(ring, resident.size() * page, resident.data()) == 0);
    CHECK(std::count(resident.begin(), resident.end(), 1) < 8);
    REQUIRE(::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
}
