#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/base/token_bucket.hpp>
#include <tftp/runtime/memory_budget.hpp>
#include <tftp/server/destination_budget.hpp>
#include <tftp/server/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

namespace tftp {

/// Who may start a transfer: counts those of all and of each client, and how fast clients ask.
///
/// A client is an address; its port says nothing. Shared by the threads of a server; thread-safe.
class admission {
public:
    /// A transfer that was admitted; it counts until this object is gone.
    ///
    /// Lifetime: the admission outlives it.
    class permit {
    public:
        permit() = default;
        /// `other` counts no more.
        permit(permit&& other) noexcept;
        permit& operator=(permit&& other) noexcept;
        ~permit();

    private:
        friend class admission;

        permit(admission& in, const endpoint& client) noexcept : in_(&in), client_(client) {}

        admission* in_ = nullptr;
        endpoint client_;
    };

    /// Throws std::exception when the system gives no random numbers.
    explicit admission(const limits& bounds);
    /// seed: one that strangers cannot guess; a known one for what is to be repeated.
    admission(const limits& bounds, std::uint64_t seed);

    admission(const admission&) = delete;
    admission& operator=(const admission&) = delete;
    ~admission() = default;

    /// Counts a new request of `peer` at `now`, if there is room for it. Throws std::bad_alloc.
    ///
    /// beside: it comes from the port of a transfer, whose place it is going to take. One such
    /// request may be there beyond `transfers_per_client_max`, or a client with as many transfers
    /// as it may have could not start again.
    ///
    /// Errors: `errc::overloaded` when there are `transfers_max` transfers;
    /// `errc::client_overloaded` when the client has `transfers_per_client_max`; `errc::too_fast`
    /// when it asked more often than `requests_per_client_per_second`.
    [[nodiscard]] result<permit> admit(const endpoint& peer, time_point now, bool beside = false);

    /// Returns what `peer` may get, after all that it got and did not acknowledge.
    [[nodiscard]] destination_budget::state
    owed_by(const endpoint& peer, time_point now) const noexcept;
    /// Notes that `peer` did not acknowledge `bytes` that were sent to it.
    void charge(const endpoint& peer, std::uint64_t bytes, time_point now) noexcept;
    /// Takes back a charge: `peer` has acknowledged it after all.
    void credit(const endpoint& peer, std::uint64_t bytes) noexcept;

    /// Forgets some clients that have no transfer and have not asked for a second: to be called
    /// when transfers end, so that the memory of a crowd goes with it.
    void forget_idle(time_point now) noexcept;

    /// Returns how many transfers are admitted.
    [[nodiscard]] std::size_t transfers() const noexcept;
    /// Returns how many clients it remembers.
    [[nodiscard]] std::size_t clients() const noexcept;

    /// Returns the seed for the hashes of tables whose keys strangers choose; they cannot guess it.
    [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

    /// Returns what all transfers may hold in memory together.
    [[nodiscard]] memory_budget& buffers() noexcept { return buffers_; }

private:
    struct client {
        endpoint who;
        std::size_t transfers = 0;
        token_bucket requests;
        time_point asked;
    };

    using clients_by_age = std::list<client>;

    struct keyed_hash {
        std::uint64_t seed;

        [[nodiscard]] std::size_t operator()(const endpoint& e) const noexcept {
            return static_cast<std::size_t>(mix(e, seed));
        }
    };

    [[nodiscard]] client& find_or_add(const endpoint& who, time_point now);
    void release(const endpoint& who) noexcept;
    void forget_some() noexcept;

    limits bounds_;
    std::uint64_t seed_;
    memory_budget buffers_;
    mutable std::mutex mutex_;
    /// The one that asked longest ago first.
    clients_by_age by_age_;
    std::unordered_map<endpoint, clients_by_age::iterator, keyed_hash> by_address_;
    destination_budget unacknowledged_;
    std::size_t transfers_ = 0;
    /// When the last request came.
    time_point latest_;
};

} // namespace tftp
