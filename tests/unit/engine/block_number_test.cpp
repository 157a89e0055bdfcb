#include <tftp/engine/block_number.hpp>

#include <catch2/catch.hpp>

#include <algorithm>

using namespace tftp;

namespace {

struct sample {
    std::uint64_t block;
    std::uint16_t to_zero;
    std::uint16_t to_one;
};

constexpr sample rollovers[] = {
    {0, 0, 0},
    {1, 1, 1},
    {2, 2, 2},
    {65534, 65534, 65534},
    {65535, 65535, 65535},
    {65536, 0, 1},
    {65537, 1, 2},
    {131070, 65534, 65535},
    {131071, 65535, 1},
    {131072, 0, 2},
    {196605, 65533, 65535},
    {196606, 65534, 1},
    {196608, 0, 3},
};

} // namespace

TEST_CASE("blocks have the wire numbers of the chosen rollover", "[engine][block_number]") {
    for (const sample& each : rollovers) {
        CAPTURE(each.block);
        CHECK(to_wire(each.block, rollover::to_zero) == each.to_zero);
        CHECK(to_wire(each.block, rollover::to_one) == each.to_one);
        if (each.block <= 65535) {
            CHECK(to_wire(each.block, rollover::forbidden) == each.block);
        }
    }
}

TEST_CASE("a wire number finds its block in a window", "[engine][block_number]") {
    const std::uint32_t counts[] = {1, 2, 5, 256, 32767, 32768, 65535};
    for (const rollover policy : {rollover::to_zero, rollover::to_one}) {
        for (const sample& each : rollovers) {
            for (const std::uint32_t count : counts) {
                for (const std::uint32_t back : {0U, 1U, 2U, count / 2, count - 1}) {
                    if (back >= count || back > each.block) {
                        continue;
                    }
                    CAPTURE(each.block, count, back);
                    const std::uint16_t wire = to_wire(each.block, policy);
                    CHECK(from_wire(wire, each.block - back, count, policy) == each.block);
                }
            }
        }
    }
}

TEST_CASE("a wire number outside the window finds nothing", "[engine][block_number]") {
    for (const rollover policy : {rollover::to_zero, rollover::to_one}) {
        for (const sample& each : rollovers) {
            CAPTURE(each.block);
            const std::uint16_t wire = to_wire(each.block, policy);
            // Just before the window, and just behind it.
            CHECK_FALSE(from_wire(wire, each.block + 1, 32767, policy));
            if (each.block > 8) {
                CHECK_FALSE(from_wire(wire, each.block - 8, 8, policy));
            }
            CHECK_FALSE(from_wire(wire, each.block, 0, policy));
        }
    }
}

TEST_CASE("every wire number maps to one block of the window or none", "[engine][block_number]") {
    for (const rollover policy : {rollover::to_zero, rollover::to_one, rollover::forbidden}) {
        for (const std::uint64_t first :
             {0ULL, 1ULL, 65500ULL, 65535ULL, 65536ULL, 131000ULL, 131070ULL, 131071ULL}) {
            constexpr std::uint32_t count = 100;
            std::uint64_t found = 0;
            for (std::uint32_t wire = 0; wire <= 65535; ++wire) {
                const auto number = static_cast<std::uint16_t>(wire);
                const auto block = from_wire(number, first, count, policy);
                if (!block) {
                    continue;
                }
                ++found;
                REQUIRE(*block >= first);
                REQUIRE(*block < first + count);
                REQUIRE(to_wire(*block, policy) == wire);
            }
            CAPTURE(static_cast<int>(policy), first);
            const std::uint64_t left = first <= 65535 ? 65536 - first : 0;
            CHECK(
                found ==
                (policy == rollover::forbidden ? std::min<std::uint64_t>(count, left) : count)
            );
        }
    }
}

TEST_CASE("block 0 exists once: rollover to one never uses number 0", "[engine][block_number]") {
    CHECK(from_wire(0, 0, 2, rollover::to_one) == 0U);
    CHECK_FALSE(from_wire(0, 1, 65535, rollover::to_one));
    CHECK_FALSE(from_wire(0, 65535, 65535, rollover::to_one));
    CHECK(from_wire(0, 65535, 2, rollover::to_zero) == 65536U);
}

TEST_CASE("a duplicate of the last block before the wrap is told apart", "[engine][block_number]") {
    // The window begins at block 65536; an ACK 65535 once more is the block before it.
    CHECK(from_wire(65535, 65535, 2, rollover::to_zero) == 65535U);
    CHECK_FALSE(from_wire(65535, 65536, 1, rollover::to_zero));
    CHECK_FALSE(from_wire(65534, 65535, 2, rollover::to_zero));
}

TEST_CASE("without rollover nothing follows block 65535", "[engine][block_number]") {
    CHECK(from_wire(65535, 65535, 2, rollover::forbidden) == 65535U);
    CHECK_FALSE(from_wire(0, 65535, 2, rollover::forbidden));
    CHECK_FALSE(from_wire(1, 65535, 65535, rollover::forbidden));
    CHECK_FALSE(from_wire(0, 65536, 2, rollover::forbidden));
}

TEST_CASE("block numbers far past 32 bits keep their place", "[engine][block_number]") {
    const std::uint64_t block = (std::uint64_t{1} << 40) + 12345;
    for (const rollover policy : {rollover::to_zero, rollover::to_one}) {
        CHECK(from_wire(to_wire(block, policy), block - 7, 32767, policy) == block);
    }
}
