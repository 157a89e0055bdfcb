#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory_resource>
#include <unordered_map>

namespace tftp {

/// How much went to each destination that was never acknowledged: what somebody who forges
/// addresses may have a server send to a victim. A destination is an IPv4 address, or the /64 of an
/// IPv6 address.
///
/// A bounded table; those that were charged longest ago are forgotten first. Not thread-safe.
class destination_budget {
public:
    /// Bytes that may go unacknowledged before a destination gets less: no window, and each first
    /// packet once.
    static constexpr std::uint64_t reduced_above = std::uint64_t{1} << 20;
    /// Before it gets nothing for a while.
    static constexpr std::uint64_t silent_above = std::uint64_t{4} << 20;
    /// Bytes that are forgiven in a second: after about a minute of quiet all is as before.
    static constexpr std::uint64_t forgiven_per_second = 16384;
    /// Destinations that are remembered.
    static constexpr std::size_t remembered_max = 4096;

    /// What a destination may get.
    enum class state : std::uint8_t { free, reduced, silent };

    /// seed: one that strangers cannot guess.
    explicit destination_budget(std::uint64_t seed)
        : by_address_(0, keyed_hash{seed}, {}, &memory_) {}

    /// Returns what `peer` may get now.
    [[nodiscard]] state of(const endpoint& peer, time_point now) const noexcept;

    /// Adds `bytes` that `peer` did not acknowledge. Throws std::bad_alloc.
    void charge(const endpoint& peer, std::uint64_t bytes, time_point now);

    /// Takes back `bytes` that were charged: `peer` has acknowledged them after all.
    void credit(const endpoint& peer, std::uint64_t bytes) noexcept;

    /// Returns how many destinations it remembers.
    [[nodiscard]] std::size_t size() const noexcept { return by_age_.size(); }

private:
    struct account {
        endpoint destination;
        std::uint64_t level = 0;
        time_point charged;

        [[nodiscard]] std::uint64_t level_at(time_point now) const noexcept;
    };

    using by_age = std::pmr::list<account>;

    struct keyed_hash {
        std::uint64_t seed;

        [[nodiscard]] std::size_t operator()(const endpoint& e) const noexcept {
            return static_cast<std::size_t>(mix(e, seed));
        }
    };

    /// Together: one here and one there would keep pages of what a flood has left behind.
    std::pmr::unsynchronized_pool_resource memory_;
    /// The one that was charged longest ago first.
    by_age by_age_{&memory_};
    std::pmr::unordered_map<endpoint, by_age::iterator, keyed_hash> by_address_;
};

} // namespace tftp
