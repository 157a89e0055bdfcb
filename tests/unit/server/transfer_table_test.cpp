#include "server/transfer_table.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <optional>
#include <vector>

using namespace tftp;

namespace {

constexpr endpoint client = endpoint::ipv4(192, 0, 2, 1, 2000);
constexpr endpoint server = endpoint::ipv4(192, 0, 2, 2, 69);

/// What the table asks of a transfer.
struct fake_transfer {
    explicit fake_transfer(int n, const transfer_key& key = {client, server})
        : number(n), who(key) {}

    [[nodiscard]] std::optional<transfer_key> pair() const { return ends; }

    int number;
    transfer_key who;
    std::optional<transfer_key> ends;
    half_open_set<fake_transfer>::hook half_open;
    fake_transfer* rival = nullptr;
    fake_transfer* holder = nullptr;
};

using table = transfer_table<fake_transfer>;

} // namespace

TEST_CASE("a table finds the transfers of a client port", "[server][transfer_table]") {
    table t(1);
    CHECK(t.holder_of({client, server}) == nullptr);
    fake_transfer& first = t.add(std::make_unique<fake_transfer>(1));
    fake_transfer& second = t.add(std::make_unique<fake_transfer>(2));
    second.holder = &first;
    first.rival = &second;
    CHECK(t.holder_of({client, server}) == &first);
    CHECK(t.contains({client, server}));
    CHECK_FALSE(t.contains({client, server.with_port(70)}));
    std::vector<int> both;
    for (const fake_transfer* each : t.of({client, server})) {
        both.push_back(each->number);
    }
    CHECK(both.size() == 2);
    CHECK(both[0] + both[1] == 3);
    const auto none = t.of({client.with_port(1), server});
    CHECK(none.begin() == none.end());
    CHECK(t.size() == 2);
    CHECK(t.half_open().size() == 2);
}

TEST_CASE("a table finds a transfer by both ends of what it sends", "[server][transfer_table]") {
    table t(1);
    const transfer_key ends{client, server.with_port(4000)};
    auto made = std::make_unique<fake_transfer>(1);
    made->ends = ends;
    fake_transfer& lent = t.add(std::move(made));
    t.add(std::make_unique<fake_transfer>(2, transfer_key{client.with_port(2001), server}));
    CHECK(t.find_pair(ends) == &lent);
    CHECK(t.find_pair({client.with_port(1), ends.local}) == nullptr);
    CHECK(t.pairs() == 1);
    CHECK(t.remove(lent));
    CHECK(t.find_pair(ends) == nullptr);
    CHECK(t.pairs() == 0);
}

TEST_CASE("what ended stays until it is destroyed", "[server][transfer_table]") {
    table t(1);
    fake_transfer& only = t.add(std::make_unique<fake_transfer>(1));
    CHECK(t.remove(only));
    CHECK_FALSE(t.remove(only));
    CHECK(t.size() == 0);
    CHECK(t.half_open().size() == 0);
    CHECK(only.number == 1);
    int destroyed = 0;
    CHECK(t.destroy_ended([&destroyed](const fake_transfer& each) { destroyed += each.number; }));
    CHECK(destroyed == 1);
    CHECK_FALSE(t.destroy_ended([](const fake_transfer&) {}));
}

TEST_CASE("a table goes through all", "[server][transfer_table]") {
    table t(1);
    for (int i = 1; i <= 100; ++i) {
        const transfer_key who{client.with_port(static_cast<std::uint16_t>(i)), server};
        t.add(std::make_unique<fake_transfer>(i, who));
    }
    int sum = 0;
    t.for_each([&sum](const fake_transfer& each) { sum += each.number; });
    CHECK(sum == 5050);
    t.shrink();
    CHECK(t.size() == 100);
}
