#pragma once

#include "server/incoming_request.hpp"
#include "socket/shared_socket_view.hpp"
#include "transfer/unicast_transfer.hpp"

#include <tftp/runtime/event_loop.hpp>
#include <tftp/runtime/timer_wheel.hpp>
#include <tftp/server/admission.hpp>
#include <tftp/server/half_open.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace tftp {

class shared_port;
class transfer_runner;

/// A port for a transfer: its own, or lent.
struct opened_port {
    std::unique_ptr<datagram_socket> port;
    /// The same when it is lent, and the socket behind it.
    shared_socket_view* lent = nullptr;
    shared_port* behind = nullptr;
};

/// A transfer of a shard, and what the shard knows of it.
struct server_transfer final : event_handler, timer_entry, unicast_transfer {
    template <class Engine, class Content>
    server_transfer(
        transfer_runner& of,
        transfer_setup setup,
        const Engine& engine,
        Content content,
        const incoming_request& a,
        admission::permit counted,
        const opened_port& port
    )
        : unicast_transfer(std::move(setup), engine, std::move(content), a.now),
          owner(of),
          who(a.who),
          direction(direction_of(a.request)),
          started_at(a.now),
          request_digest(digest(a.datagram)),
          opening_at(a.now),
          marked_at(a.now),
          permit(std::move(counted)),
          lent(port.lent),
          behind(port.behind) {}

    void on_event(bool readable, bool writable, time_point now) noexcept override;
    bool poll_again(time_point now) noexcept override;

    /// Returns both ends of what it sends, when it has no port of its own.
    [[nodiscard]] std::optional<transfer_key> pair() const noexcept {
        return lent == nullptr ? std::nullopt
                               : std::optional(transfer_key{who.peer, lent->local_endpoint()});
    }

    transfer_runner& owner;
    transfer_key who;
    transfer_direction direction;
    time_point started_at;
    std::uint64_t request_digest;
    /// When it was last seen with nothing acknowledged.
    time_point opening_at;
    /// How far it had come when that was looked at last, and since when it has not moved as far as
    /// is known.
    std::uint64_t marked_bytes = 0;
    time_point marked_at;
    /// What its client was charged for.
    std::uint64_t charged = 0;
    /// Of two with one client port: the one that may take the place of this one, or that this one
    /// may take the place of.
    server_transfer* rival = nullptr;
    server_transfer* holder = nullptr;
    admission::permit permit;
    /// Its port when that is lent, and the socket behind it.
    shared_socket_view* lent;
    shared_port* behind;
    /// What its port is watched for; through a lent one, whether it waits for room.
    interest watching;
    /// Its place among those that make room while nothing that was sent is acknowledged.
    half_open_set<server_transfer>::hook half_open;
    /// Its first packet is DATA: nobody answers that with ACK 0, but for a server that was asked to
    /// take the file.
    bool opened_by_data = false;
    bool reported = false;
};

// Its promise to ten thousand clients: no buffer hides in it.
static_assert(sizeof(server_transfer) <= 2048);

} // namespace tftp
