#pragma once

#include "bench.hpp"

#include <tftp/socket/datagram_socket.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/transfer/make_transfer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// A transfer above a socket that only notes what is asked of it.
namespace tftp::test {

/// What was asked of a `fake_socket`, what it answers, and what has arrived at it.
struct socket_script {
    /// The calls, in order: "send", "send_run", "cork", "release", "drop".
    std::vector<std::string> calls;
    /// How many messages each receive was allowed to take.
    std::vector<std::size_t> receives;
    /// Runs of DATA that left, headers included, and the bytes of each datagram in them.
    std::vector<std::pair<datagram, std::size_t>> runs;
    /// Bytes of all that left, control packets included.
    std::size_t bytes = 0;
    /// Messages not yet taken, with the bytes of each datagram in them.
    std::deque<std::pair<datagram, std::size_t>> arrived;
    /// What the next runs come to; success when it is empty.
    std::deque<error_code> run_errors;
    bool corks = false;
    int descriptor = 7;
};

class fake_socket final : public datagram_socket {
public:
    explicit fake_socket(socket_script& script) : script_(script) {}

    [[nodiscard]] result<std::span<const received>>
    receive_batch(scratch& memory, std::size_t messages_max) noexcept override {
        script_.receives.push_back(messages_max);
        const std::size_t count = std::min(messages_max, script_.arrived.size());
        for (std::size_t i = 0; i < count; ++i) {
            const auto& [bytes, segment] = script_.arrived.front();
            std::ranges::copy(bytes, memory.slot(i).begin());
            received& message = memory.messages()[i];
            message = {};
            message.octets = memory.slot(i).first(bytes.size());
            message.segment = segment;
            message.from = peer;
            script_.arrived.pop_front();
        }
        return std::span<const received>(memory.messages().first(count));
    }

    [[nodiscard]] result<std::uint16_t> send_run(
        const endpoint&, const endpoint&, bytes_view run, std::size_t segment
    ) noexcept override {
        script_.calls.emplace_back("send_run");
        if (!script_.run_errors.empty()) {
            const error_code failed = script_.run_errors.front();
            script_.run_errors.pop_front();
            return failed;
        }
        note_run({run.begin(), run.end()}, segment);
        return static_cast<std::uint16_t>((run.size() + segment - 1) / segment);
    }

    [[nodiscard]] error_code cork(
        const endpoint&, const endpoint&, std::span<const ::iovec> parts, std::size_t segment
    ) noexcept override {
        if (!script_.corks) {
            return make_error_code(boost::system::errc::operation_not_supported);
        }
        script_.calls.emplace_back("cork");
        corked_.clear();
        for (const ::iovec& part : parts) {
            const auto* const from = static_cast<const std::byte*>(part.iov_base);
            corked_.insert(corked_.end(), from, from + part.iov_len);
        }
        segment_ = segment;
        return {};
    }

    [[nodiscard]] error_code release() noexcept override {
        script_.calls.emplace_back("release");
        note_run(corked_, segment_);
        return {};
    }

    void drop_corked() noexcept override { script_.calls.emplace_back("drop"); }

    [[nodiscard]] error_code
    send(const endpoint&, const endpoint&, bytes_view packet) noexcept override {
        script_.calls.emplace_back("send");
        script_.bytes += packet.size();
        return {};
    }

    [[nodiscard]] std::optional<refusal> next_refusal() noexcept override { return std::nullopt; }

    [[nodiscard]] endpoint local_endpoint() const noexcept override {
        return endpoint::ipv4(192, 0, 2, 2, 40000);
    }

    [[nodiscard]] int native_handle() const noexcept override { return script_.descriptor; }

private:
    void note_run(datagram run, std::size_t segment) {
        script_.bytes += run.size();
        script_.runs.emplace_back(std::move(run), segment);
    }

    socket_script& script_;
    datagram corked_;
    std::size_t segment_ = 0;
};

/// One transfer with a fake socket; the server's side, with a host if it is `hosted`.
class path_bench {
public:
    /// Sends `content`.
    explicit path_bench(std::string content, const option_pairs& options = {}, bool hosted = false)
        : source(std::make_shared<moody_source>(std::move(content))) {
        under_test = make_transfer(
            setup(transfer_direction::read, transfer_mode::octet, hosted),
            serve_read(options, source->size()),
            source,
            start
        );
    }

    /// Receives.
    explicit path_bench(
        const option_pairs& options, bool hosted = false, transfer_mode mode = transfer_mode::octet
    )
        : sink(std::make_shared<moody_sink>()) {
        under_test = make_transfer(
            setup(transfer_direction::write, mode, hosted), serve_write(options), sink, start
        );
    }

    /// `message` arrives, as datagrams of `segment` bytes when it is coalesced. Returns what
    /// on_readable() says.
    bool say(datagram message, std::size_t segment = 0) {
        segment = segment == 0 ? message.size() : segment;
        socket.arrived.emplace_back(std::move(message), segment);
        return under_test->on_readable(memory, now);
    }

    void begin() { under_test->start(memory, now); }

    void pass(duration d) {
        now += d;
        host.now = now;
        under_test->on_deadline(memory, now);
    }

    socket_script socket;
    scratch memory;
    manual_host host{memory};
    time_point now = start;
    std::shared_ptr<moody_source> source;
    std::shared_ptr<moody_sink> sink;
    std::unique_ptr<transfer> under_test;

private:
    transfer_setup setup(transfer_direction verb, transfer_mode mode, bool hosted) {
        return {
            verb, "file", mode, std::make_unique<fake_socket>(socket), hosted ? &host : nullptr};
    }
};

} // namespace tftp::test
