#pragma once

#include "transfer/receive_path.hpp"
#include "transfer/send_path.hpp"
#include "transfer/transfer_state.hpp"

#include <tftp/transfer/make_transfer.hpp>
#include <tftp/transfer/transfer.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace tftp {

/// A transfer between two peers: what is the same for both directions. How its data goes is the
/// matter of its path.
class unicast_transfer : public transfer {
public:
    /// Sends `from`.
    unicast_transfer(
        transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
    );
    /// Receives into `into`.
    unicast_transfer(
        transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
    );

    void start(scratch& memory, time_point now) noexcept override;
    bool on_readable(scratch& memory, time_point now) noexcept override;
    void on_writable(scratch& memory, time_point now) noexcept override;
    void on_deadline(scratch& memory, time_point now) noexcept override;
    void on_resumed(scratch& memory, time_point now) noexcept override;
    void on_repeated_request(scratch& memory, time_point now) noexcept override;
    void abort(
        peer_errc code,
        std::string_view message,
        const error_code& why,
        scratch& memory,
        time_point now
    ) noexcept override;
    void drop(const error_code& why, scratch& memory, time_point now) noexcept override;

    [[nodiscard]] interest wants() const noexcept override {
        return {state_.port->native_handle(), state_.use.may_receive(), state_.use.waits_to_send};
    }

    [[nodiscard]] std::optional<time_point> deadline() const noexcept override {
        return state_.deadline;
    }

    [[nodiscard]] bool closed() const noexcept override { return state_.end.closed; }

    [[nodiscard]] bool completed() const noexcept override { return state_.end.completed; }

    [[nodiscard]] bool committing() const noexcept override;
    [[nodiscard]] bool opening() const noexcept override;

    [[nodiscard]] bool acknowledged() const noexcept override {
        return completed() || counters().bytes != 0;
    }

    [[nodiscard]] bool failed() const noexcept override {
        return completed() && state_.end.outcome.failed();
    }

    [[nodiscard]] std::uint64_t bytes_sent() const noexcept override;
    [[nodiscard]] const endpoint& peer() const noexcept override;
    [[nodiscard]] const engine_counters& counters() const noexcept override;
    [[nodiscard]] const parameters& agreed() const noexcept override;
    void release_file() noexcept override;
    [[nodiscard]] transfer_summary summary() const override;

private:
    /// What the request says.
    struct request_facts {
        explicit request_facts(const transfer_setup& setup)
            : filename(setup.filename), mode(setup.mode), verb(setup.verb) {}

        std::string filename;
        transfer_mode mode;
        transfer_direction verb;
    };

    /// Calls `f` with the path; unlike std::visit it has no way to throw.
    template <class Function>
    decltype(auto) with_path(Function&& f) noexcept {
        auto* const sending = std::get_if<send_path>(&path_);
        return sending != nullptr ? f(*sending) : f(*std::get_if<receive_path>(&path_));
    }

    template <class Function>
    decltype(auto) with_path(Function&& f) const noexcept {
        const auto* const sending = std::get_if<send_path>(&path_);
        return sending != nullptr ? f(*sending) : f(*std::get_if<receive_path>(&path_));
    }

    template <class Path>
    [[nodiscard]] bool receive(Path& path, scratch& memory, time_point now) noexcept;
    template <class Path>
    void act(Path& path, scratch& memory, time_point now) noexcept;

    request_facts request_;
    transfer_state state_;
    std::variant<send_path, receive_path> path_;
    time_point started_;
    /// A valid answer of the peer came.
    bool answered_ = false;
};

// A server has ten thousand of them: no buffer hides in it.
static_assert(sizeof(unicast_transfer) <= 2048);

} // namespace tftp
