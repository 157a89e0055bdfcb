#include "support/builders.hpp"

#include <tftp/server/half_open.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <random>
#include <set>
#include <vector>

using namespace tftp;

namespace {

struct entry {
    half_open_set<entry>::hook place;
};

constexpr endpoint one = endpoint::ipv4(192, 0, 2, 1, 1000);
constexpr endpoint two = endpoint::ipv4(192, 0, 2, 2, 1000);

} // namespace

TEST_CASE("half-open transfers are found by client, the oldest first", "[driver][half_open]") {
    half_open_set<entry> set(1);
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

TEST_CASE("the older of two half-open transfers makes room", "[driver][half_open]") {
    half_open_set<entry> set(1);
    CHECK(set.one_of_two(5, 3) == nullptr);
    std::vector<entry> all(100);
    for (entry& each : all) {
        set.add(each, each.place, one);
    }
    for (std::size_t i = 0; i < all.size(); i += 3) {
        set.remove(all[i].place);
    }
    // Any of them may be both.
    std::set<const entry*> seen;
    for (std::size_t i = 0; i < 1000; ++i) {
        seen.insert(set.one_of_two(i, i));
    }
    CHECK(seen.size() == set.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(seen.contains(&all[i]) == (i % 3 != 0));
    }
    // The later one is in front in memory: it has taken the place of one that was removed.
    for (std::size_t i = 0; i < set.size(); ++i) {
        for (std::size_t j = 0; j < set.size(); ++j) {
            CHECK(set.one_of_two(i, j) == std::min(set.one_of_two(i, i), set.one_of_two(j, j)));
        }
    }
    for (entry& each : all) {
        set.remove(each.place);
    }
    set.shrink();
    CHECK(set.size() == 0);
}

TEST_CASE("a flood lets those be that answer soon", "[driver][half_open]") {
    half_open_set<entry> set(1);
    constexpr std::size_t places = 1000;
    std::minstd_rand random(1);
    std::deque<entry> flood;
    std::deque<entry> good;
    std::size_t shut_out = 0;
    const auto one_more = [&](entry& added) {
        if (set.size() == places) {
            entry* const chosen = set.one_of_two(random(), random());
            set.remove(chosen->place);
        }
        set.add(added, added.place, one);
    };
    // One of a hundred is good, and its answer takes a tenth of what the flood needs for all.
    for (std::size_t i = 0; i < 200 * places; ++i) {
        one_more(flood.emplace_back());
        if (i % 100 == 0) {
            one_more(good.emplace_back());
        }
        if (i >= places / 10 && i % 100 == 0) {
            entry& answers = good[i / 100 - places / 1000];
            shut_out += answers.place.linked() ? 0U : 1U;
            set.remove(answers.place);
        }
    }
    INFO(shut_out << " of " << good.size());
    CHECK(shut_out * 50 < good.size());
    CHECK(shut_out > 0);
}
