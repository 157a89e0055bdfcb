#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tftp::sim {

/// What can happen in a crowd: kinds of peers, faults, and how requests end. A batch that lacks one
/// is too tame to show anything.
enum class happening : std::uint8_t {
    // Peers.
    own_read,
    own_write,
    own_netascii,
    own_fixed_timeouts,
    own_vanished,
    own_restarted,
    own_late,
    uboot,
    grub,
    ipxe,
    edk2,
    plain_fixed_timeouts,
    rogue,
    flood,
    // What rogues do.
    ack_of_unsent,
    ack_twice,
    ack_stale,
    data_of_wrong_size,
    error_storm,
    answered_late,
    rogue_vanished,
    rogue_garbage,
    rogue_request_again,
    // Injected datagrams.
    malformed_request,
    malformed_in_transfer,
    foreign_tid,
    from_port_zero,
    from_own_port,
    to_group,
    // By somebody who knows the address and port of a client.
    forged_request,
    forged_copy,
    forged_packet,
    // Links.
    lost,
    lost_in_burst,
    duplicated,
    reordered,
    corrupted,
    queue_overflowed,
    blacked_out,
    above_mtu,
    refused_by_icmp,
    // Kernels.
    receive_buffer_full,
    coalesced,
    looked_again,
    open_failed,
    send_refused,
    send_lost,
    send_blocked,
    run_taken_in_part,
    send_too_large,
    watch_failed,
    // The disk.
    cold_read,
    opened_in_pool,
    remote_file,
    job_refused,
    read_failed,
    write_failed,
    commit_failed,
    open_of_file_failed,
    file_shrank,
    // Ports of transfers.
    through_shared_port,
    through_port_of_requests,
    // How requests ended at the server.
    read_done,
    write_done,
    crowded_out,
    overloaded,
    client_too_fast,
    listeners_paused,
    superseded,
    size_probe,
    timed_out,
    stopped,
    peer_gone,
    ended_by_peer,
    // What had to end well, did.
    calm_transfer,
    past_rollover,
    count_
};

inline constexpr std::size_t happenings = static_cast<std::size_t>(happening::count_);

/// Returns the name of `what` in words.
[[nodiscard]] std::string_view to_string(happening what) noexcept;

/// Counts what happened.
class tally {
public:
    void note(happening what, std::uint64_t times = 1) noexcept {
        counts_[static_cast<std::size_t>(what)] += times;
    }

    [[nodiscard]] std::uint64_t of(happening what) const noexcept {
        return counts_[static_cast<std::size_t>(what)];
    }

    void add(const tally& other) noexcept {
        for (std::size_t i = 0; i < happenings; ++i) {
            counts_[i] += other.counts_[i];
        }
    }

private:
    std::array<std::uint64_t, happenings> counts_{};
};

/// The first invariant that did not hold. Library code calls back from functions that cannot throw,
/// so checks made there are kept here until the world looks.
class verdict {
public:
    void require(bool holds, const char* invariant) noexcept {
        if (!holds && broken_ == nullptr) {
            broken_ = invariant;
        }
    }

    /// Returns null while all is well.
    [[nodiscard]] const char* broken() const noexcept { return broken_; }

private:
    const char* broken_ = nullptr;
};

} // namespace tftp::sim
