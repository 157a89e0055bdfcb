#pragma once

#include "socket/shared_socket_view.hpp"
#include "transfer/unicast_transfer.hpp"

#include <tftp/server/service.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

/// What a service is made of; shared by its sources.
namespace tftp {

/// Rest of a port after a receive that failed: it would fail again at once.
inline constexpr auto rest_after_failure = std::chrono::milliseconds(10);

/// What a client hears when a bound of the server is reached.
inline constexpr const char* busy_text = "server busy";

/// Tells requests apart, and copies of one from it.
[[nodiscard]] inline std::uint64_t digest(bytes_view datagram) noexcept {
    const std::string_view text(reinterpret_cast<const char*>(datagram.data()), datagram.size());
    return std::hash<std::string_view>()(text);
}

/// Returns the address that a message on `port` was sent to: what its sender knows of us.
[[nodiscard]] inline endpoint
local_of(const datagram_socket& port, const received& message) noexcept {
    const endpoint bound = port.local_endpoint();
    return message.to.family == address_family::none ? bound : message.to.with_port(bound.port);
}

/// Jobs of the pool are done.
struct service::completion_events final : event_handler {
    explicit completion_events(service& of) noexcept : owner(of) {}

    void on_event(bool readable, bool writable, time_point now) noexcept override;

    service& owner;
};

/// A socket that several transfers may send from and hear through.
struct service::shared : event_handler {
    shared(service& of, std::unique_ptr<datagram_socket> at) noexcept
        : owner(of), port(std::move(at)) {}

    virtual ~shared() = default;

    void on_event(bool readable, bool writable, time_point now) noexcept override;

    service& owner;
    std::unique_ptr<datagram_socket> port;
    /// Transfers that it is lent to.
    std::size_t users = 0;
    /// Those for which its buffer was full, in the order of their turns.
    std::vector<server_transfer*> waiting;
};

struct service::listener final : shared {
    using shared::shared;

    void on_event(bool readable, bool writable, time_point now) noexcept override;

    /// The last time it held as many requests as were wanted, or more.
    bool crowded = false;
};

struct service::server_transfer final : event_handler, timer_entry, unicast_transfer {
    template <class Engine, class Content>
    server_transfer(
        service& of,
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
          request_digest(digest(a.datagram)),
          opening_at(a.now),
          marked_at(a.now),
          place(std::move(counted)),
          lent(port.lent),
          behind(port.behind) {}

    void on_event(bool readable, bool writable, time_point now) noexcept override;

    bool poll_again(time_point now) noexcept override { return owner.poll_again(*this, now); }

    service& owner;
    key who;
    std::uint64_t request_digest;
    /// When it was last seen with nothing acknowledged.
    time_point opening_at;
    /// How far it had come when that was looked at last, and since when it has not moved as far as
    /// is known.
    std::uint64_t marked_octets = 0;
    time_point marked_at;
    /// What its client was charged for.
    std::uint64_t charged = 0;
    /// Of two with one client port: the one that may take the place of this one, or that this one
    /// may take the place of.
    server_transfer* rival = nullptr;
    server_transfer* holder = nullptr;
    admission::permit place;
    /// Its port when that is lent, and the socket behind it.
    shared_socket_view* lent;
    shared* behind;
    /// What its port is watched for; through a lent one, whether it waits for room.
    interest watching;
    /// Its place among those that make room while nothing that was sent is acknowledged.
    half_open_set<server_transfer>::hook half_open;
    /// Its first packet is DATA: nobody answers that with ACK 0, but for a server that was asked to
    /// take the file.
    bool opened_by_data = false;
    bool reported = false;
};

/// Opens the file of a request where that may wait.
class service::open_job final : public blocking_job {
public:
    /// Throws std::bad_alloc.
    open_job(service& owner, const incoming_request& a, admission::permit counted);
    open_job(const open_job&) = delete;
    open_job& operator=(const open_job&) = delete;
    /// The pool may end before it has run.
    ~open_job() override;

    void run() noexcept override;

    void done() noexcept override { owner_.on_opened(*this); }

    /// Its result is not wanted any more, and its place is free.
    void cancel() noexcept;

    [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }

    [[nodiscard]] bool same_request(bytes_view other) const noexcept {
        return digest(datagram_) == digest(other);
    }

    /// Returns the request as it arrived, at another time.
    [[nodiscard]] incoming_request resumed(time_point now) const noexcept;

    /// Returns when it arrived.
    [[nodiscard]] time_point since() const noexcept { return since_; }

    admission::permit place;
    /// What it opened: one of the two.
    result<std::shared_ptr<source>> from;
    result<std::shared_ptr<sink>> into;

private:
    service& owner_;
    datagram_socket& port_;
    endpoint to_;
    /// The request's views borrow it.
    std::vector<std::byte> datagram_;
    key who_;
    request_view request_;
    std::optional<std::uint64_t> announced_;
    time_point since_;
    bool cancelled_ = false;
};

/// Destroys the file of a transfer that is over where that may wait.
class service::dispose_job final : public blocking_job {
public:
    dispose_job(std::shared_ptr<const void> content, std::uint64_t lane) noexcept
        : blocking_job(lane), content_(std::move(content)) {}

    void run() noexcept override { content_.reset(); }

    void done() noexcept override {}

private:
    std::shared_ptr<const void> content_;
};

} // namespace tftp
