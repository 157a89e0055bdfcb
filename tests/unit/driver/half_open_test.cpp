#include "support/builders.hpp"

#include <tftp/driver/half_open.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <cstddef>
#include <set>
#include <vector>

using namespace tftp;

namespace {

struct entry {
    io::half_open_set<entry>::hook place;
};

constexpr endpoint one = endpoint::ipv4(192, 0, 2, 1, 1000);
constexpr endpoint two = endpoint::ipv4(192, 0, 2, 2, 1000);

} // namespace

TEST_CASE("half-open transfers are found by client, the oldest first", "[driver][half_open]") {
    io::half_open_set<entry> set(1);
    std::array<entry, 4> all;
    CHECK(set.oldest_of(one) == nullptr);
    set.add(all[0], all[0].place, one);
    set.add(all[1], all[1].place, two);
    // Another port is the same client.
    set.add(all[2], all[2].place, one.with_port(2000));
    set.add(all[3], all[3].place, one);
    CHECK(set.oldest_of(one.with_port(7)) == &all[0]);
    CHECK(set.oldest_of(two) == &all[1]);
    set.remove(all[0].place);
    CHECK_FALSE(all[0].place.linked());
    CHECK(set.oldest_of(one) == &all[2]);
    set.remove(all[3].place);
    set.remove(all[2].place);
    // Once more changes nothing.
    set.remove(all[2].place);
    CHECK(set.oldest_of(one) == nullptr);
    CHECK(set.size() == 1);
}

TEST_CASE("half-open transfers are found at random", "[driver][half_open]") {
    io::half_open_set<entry> set(1);
    CHECK(set.any(5) == nullptr);
    std::vector<entry> all(100);
    for (entry& each : all) {
        set.add(each, each.place, one);
    }
    for (std::size_t i = 0; i < all.size(); i += 3) {
        set.remove(all[i].place);
    }
    std::set<const entry*> seen;
    for (std::size_t i = 0; i < 1000; ++i) {
        seen.insert(set.any(i));
    }
    CHECK(seen.size() == set.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(seen.contains(&all[i]) == (i % 3 != 0));
    }
    for (entry& each : all) {
        set.remove(each.place);
    }
    set.shrink();
    CHECK(set.size() == 0);
}
