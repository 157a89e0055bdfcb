#pragma once

#include <tftp/server/admission.hpp>
#include <tftp/server/counters.hpp>
#include <tftp/server/policy.hpp>
#include <tftp/server/service_config.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/scratch.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace tftp {

/// Rest of a socket after a receive that failed: it would fail again at once.
inline constexpr auto rest_after_failure = std::chrono::milliseconds(10);

/// What all parts of a shard stand on. It outlives them.
struct shard_context {
    /// Throws std::bad_alloc.
    shard_context(const shard_dependencies& parts, std::shared_ptr<const service_config> wanted);

    /// Returns true when `peer` sends from the well-known port of servers, or from a port where
    /// this server listens: no client does, on this host or another one. The family counts, because
    /// a client may happen to have the port of a listener of the other family.
    [[nodiscard]] bool is_server(const endpoint& peer) const noexcept;

    /// Returns why nothing that answers `message` may leave; empty when it may.
    [[nodiscard]] std::optional<reason> unanswerable(const received& message) const noexcept;

    /// Returns the configuration in force.
    [[nodiscard]] const service_config& config() const noexcept { return *snapshot; }

    /// Returns who decides about requests.
    [[nodiscard]] const request_policy& policy() const noexcept {
        return needs.policy != nullptr ? *needs.policy : default_rule;
    }

    /// Something from `peer` is thrown away.
    void drop(reason why, const endpoint& peer, const endpoint& local) noexcept {
        counters.count(why);
        needs.observer.on_dropped(why, peer, local);
    }

    shard_dependencies needs;
    std::shared_ptr<const service_config> snapshot;
    default_policy default_rule;
    /// Outlives all that counts in it, jobs that came back and were not drained included.
    std::unique_ptr<tftp::admission> own_admission;
    tftp::admission& admission;
    shard_counters counters;
    scratch memory;
    /// Requests are read into memory of their own: answering one uses `memory`.
    scratch requests;
    /// Chooses among shared ports, and who makes room.
    std::minstd_rand random;
    /// Where the server takes requests.
    std::vector<endpoint> listening;
};

} // namespace tftp
