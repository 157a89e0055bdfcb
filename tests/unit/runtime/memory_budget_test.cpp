#include <tftp/runtime/memory_budget.hpp>

#include <catch2/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

using namespace tftp;

namespace {

/// Returns how many shares of `bytes` can be held at once, and holds them.
std::size_t take_all(
    std::vector<budget_share>& held,
    memory_budget& from,
    std::size_t bytes,
    budget_use use,
    std::uint64_t lane = 0
) {
    for (std::size_t count = 0;; ++count) {
        budget_share share(from, bytes, use, lane);
        if (!share.held()) {
            return count;
        }
        held.push_back(std::move(share));
    }
}

} // namespace

TEST_CASE("a buffer budget gives what it has and takes it back", "[io][budget]") {
    memory_budget budget(100);
    {
        budget_share first(budget, 60, budget_use::reading);
        CHECK(first.held());
        const budget_share second(budget, 41, budget_use::writing);
        CHECK_FALSE(second.held());
        first.shrink(20);
        CHECK(budget.left() == 80);
        budget_share third(std::move(first));
        CHECK(third.held());
        CHECK_FALSE(first.held());
        third = budget_share(budget, 30, budget_use::reading);
        CHECK(third.held());
        CHECK(budget.left() == 70);
        third.shrink(0);
        CHECK(third.held());
    }
    CHECK(budget.left() == 100);
}

TEST_CASE("each use of a budget takes at most half of it", "[io][budget]") {
    const auto use = GENERATE(
        budget_use::reading, budget_use::writing, budget_use::collecting, budget_use::netascii
    );
    memory_budget budget(256 * 1024);
    std::vector<budget_share> held;
    CHECK(take_all(held, budget, 1024, use) == 128);
    // However many disks it is for.
    CHECK(take_all(held, budget, 1024, use, 7) == 0);
}

TEST_CASE("whatever some uses hold, others have something left", "[io][budget]") {
    memory_budget budget(1024 * 1024);
    std::vector<budget_share> held;
    CHECK(take_all(held, budget, 1024, budget_use::netascii) == 512);
    CHECK(take_all(held, budget, 1024, budget_use::collecting) == 256);
    CHECK(take_all(held, budget, 1024, budget_use::writing, 1) == 128);
    CHECK(take_all(held, budget, 1024, budget_use::reading, 1) == 64);
    // One disk that does not answer leaves room to the next.
    CHECK(take_all(held, budget, 1024, budget_use::reading, 2) == 32);
    CHECK(take_all(held, budget, 1024, budget_use::reading, 3) == 16);
    held.clear();
    CHECK(budget.left() == budget.capacity());
    CHECK(take_all(held, budget, 1024, budget_use::reading, 1) == 512);
}

TEST_CASE("a budget that is too small serves one after the other", "[io][budget]") {
    memory_budget budget(100);
    const budget_share all(budget, 500, budget_use::writing, 3);
    CHECK(all.held());
    CHECK(budget.left() == 0);
    CHECK_FALSE(budget_share(budget, 1, budget_use::reading).held());
}
