#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/runtime/event_loop.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/server/admission.hpp>
#include <tftp/server/counters.hpp>
#include <tftp/server/policy.hpp>
#include <tftp/server/service_config.hpp>
#include <tftp/socket/datagram_socket.hpp>
#include <tftp/transfer/events.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

namespace tftp {

/// What a shard stands on; all of it outlives the shard, but for the pool: jobs of it report to
/// the shard, so the pool ends first.
struct shard_dependencies {
    content_provider& files;
    socket_factory& ports;
    tftp::event_loop& loop;
    tftp::observer& observer;
    /// What may wait for a disk goes there; null: it is done where it stands.
    job_runner* pool = nullptr;
    /// Counts for all shards of a server; null: this shard counts alone.
    tftp::admission* admission = nullptr;
    /// Decides about requests; null: a `default_policy`.
    const request_policy* policy = nullptr;
};

/// One thread's share of a server: listening ports, the transfers they start, their deadlines.
/// For any event loop: it watches descriptors with `event_handler`s of its own, and step() is to be
/// called after them and at deadline().
///
/// Each transfer gets a port as `service_config::tids` says, at the address that was asked. A
/// packet of a stranger is answered with ERROR 5 and disturbs nothing. A request repeated before
/// its transfer is under way, or within a second after, is joined to it. Any other request from the
/// port of a transfer ends nothing: it is forgotten when that transfer goes on, and else gets one
/// beside it, which takes its place once it was answered. Requests from port 0, from ports where
/// servers listen, and to broadcast or multicast addresses are dropped (RFC 1123 4.2.3.5). Files
/// are opened in the pool unless that takes no wait. Not thread-safe.
class shard final {
public:
    /// Throws std::system_error when the completion queue cannot be made.
    shard(const shard_dependencies& needs, const service_config& config, time_point now);
    shard(const shard&) = delete;
    shard& operator=(const shard&) = delete;
    ~shard();

    /// Takes requests from `port` too; it must report local addresses, and tells a repeated request
    /// from a new one best when it reports waiting times.
    [[nodiscard]] error_code listen(std::unique_ptr<datagram_socket> port);

    /// Goes by another configuration from now on; transfers that run keep what they were granted.
    /// Bounds that are counted by `shard_dependencies::admission` are not changed.
    ///
    /// Precondition: its `tids` and `sends` are those of the one before.
    void configure(std::shared_ptr<const service_config> config, time_point now) noexcept;

    /// Does what is left to do when the handlers of ready descriptors have been called: takes
    /// requests that did not fit into a batch, acts on deadlines, and destroys what has ended. Call
    /// it once a turn of the event loop, and when deadline() has come; never from a handler.
    void step(time_point now) noexcept;

    /// Returns when to call step() at the latest, as the last step() left it.
    [[nodiscard]] std::optional<time_point> deadline() const noexcept;

    /// Takes no more requests; running transfers go on. Closes the ports that took them, unless
    /// transfers use these (`tid_mode::single`): then they stay open as long as the shard is.
    void close_listeners() noexcept;
    /// Ends every transfer with ERROR 0; step() destroys them.
    void abort_all(time_point now);

    /// Returns how far each transfer has come that has not completed: as its summary so far. Throws
    /// std::bad_alloc.
    [[nodiscard]] std::vector<transfer_summary> progress(time_point now) const;

    /// Returns its counters. Any thread may read them, as long as the shard is.
    [[nodiscard]] const shard_counters& counters() const noexcept;

    /// Returns how many transfers have not completed.
    [[nodiscard]] std::size_t running() const noexcept;
    /// Returns how many transfers exist, those that only repeat their final ACK included.
    [[nodiscard]] std::size_t transfers() const noexcept;

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace tftp
