#pragma once

#include "support/builders.hpp"

#include <tftp/base/time.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>
#include <tftp/wire/packet.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <variant>

/// A transfer told as a list of events: what the engine is given, what it must do next.
namespace tftp::test {

/// When scripts begin; engines under test are made at this time.
inline constexpr time_point start{std::chrono::hours(1000)};

[[nodiscard]] inline std::string to_text(const endpoint& e) {
    std::ostringstream out;
    for (std::size_t i = 0; i < 4; ++i) {
        out << (i == 0 ? "" : ".") << unsigned{e.address[i]};
    }
    out << ':' << e.port;
    return out.str();
}

/// Returns the octets in hexadecimal, at most 48 of them.
[[nodiscard]] inline std::string to_text(bytes_view octets) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const std::byte each : octets.first(std::min<std::size_t>(octets.size(), 48))) {
        const auto value = std::to_integer<unsigned>(each);
        out += {' ', digits[value >> 4], digits[value & 0xf]};
    }
    out += octets.size() > 48 ? " ..." : "";
    return out;
}

[[nodiscard]] inline std::string milliseconds_text(duration d) {
    std::ostringstream out;
    out << std::chrono::duration<double, std::milli>(d).count() << " ms";
    return out.str();
}

/// Says what an effect is, in the words that the `expect_` functions use.
struct describe {
    std::string operator()(const idle& e) const {
        return e.deadline ? "idle until " + milliseconds_text(*e.deadline - start)
                          : "idle for ever";
    }

    std::string operator()(const send_control& e) const {
        return packet_text(e.datagram) + " to " + to_text(e.to);
    }

    std::string operator()(const send_data& e) const {
        return "DATA " + std::to_string(e.first_block) + ".." +
               std::to_string(e.first_block + e.count - 1) + (e.retransmission ? " again" : "");
    }

    std::string operator()(const store& e) const {
        return store_text(e.offset, e.payload.size(), e.last);
    }

    std::string operator()(const completed& e) const {
        return "completed: " + (e.outcome ? e.outcome.to_string() : std::string("success"));
    }

    std::string operator()(const closed&) const { return "closed"; }

    static std::string store_text(std::uint64_t offset, std::size_t size, bool last) {
        return "store " + std::to_string(size) + " octets at " + std::to_string(offset) +
               (last ? ", the last" : "");
    }

    /// ERROR without its text, which is for people; anything else to the octet.
    static std::string packet_text(bytes_view octets) {
        if (octets.size() > header_size && octets[1] == std::byte{5}) {
            return "ERROR " + std::to_string(std::to_integer<unsigned>(octets[3]));
        }
        return "datagram" + to_text(octets);
    }
};

/// Drives one engine through a script. Times are distances from `start`; the clock moves only when
/// the script says so.
///
/// Every `expect_` takes the engine's next effect and fails the test, with the events that led to
/// it, when it is another one.
template <class Engine>
class script_runner {
public:
    static constexpr bool sends = std::same_as<Engine, sender>;

    explicit script_runner(Engine& engine) : engine_(&engine) {}

    /// Sets the clock.
    script_runner& at(duration since_start) {
        now_ = start + since_start;
        return *this;
    }

    /// Moves the clock.
    script_runner& advance(duration by) {
        now_ += by;
        return *this;
    }

    /// Bounds the runs that a sender may offer from here on.
    script_runner& run_limit(std::uint16_t blocks) {
        blocks_max_ = blocks;
        return *this;
    }

    /// A datagram arrives.
    script_runner&
    receive(datagram octets, const endpoint& from = peer, int line = __builtin_LINE()) {
        note(line, "receive" + to_text(octets) + " from " + to_text(from));
        octets_ = std::move(octets);
        engine_->on_datagram(octets_, from, now_);
        return *this;
    }

    /// What was offered is in the sink: the end of a batch.
    script_runner& stored(int line = __builtin_LINE()) requires(!sends) {
        note(line, "stored");
        engine_->on_stored(now_);
        return *this;
    }

    /// DATA `block` arrives alone, is the next of the file and is stored.
    script_runner& receive_block(
        std::uint64_t block, std::size_t size = blksize_default, int line = __builtin_LINE()
    ) requires(!sends) {
        const std::size_t blksize = engine_->agreed().blksize;
        receive(data(static_cast<std::uint16_t>(block), size), peer, line);
        expect_store((block - 1) * blksize, size, size < blksize, line);
        return stored(line);
    }

    /// DATA that must not be stored arrives alone.
    script_runner& receive_useless(
        std::uint16_t block, std::size_t size = blksize_default, int line = __builtin_LINE()
    ) requires(!sends) {
        return receive(data(block, size), peer, line).stored(line);
    }

    /// Time has passed, whatever comes of it.
    script_runner& wake(int line = __builtin_LINE()) {
        note(line, "deadline");
        engine_->on_deadline(now_);
        return *this;
    }

    /// The retransmission timer has just run out.
    script_runner& expect_timeout(int line = __builtin_LINE()) {
        const std::uint32_t before = engine_->counters().timeouts;
        wake(line);
        expect_text("timeouts", before + 1, engine_->counters().timeouts, line);
        return *this;
    }

    /// The retransmission timer is still running.
    script_runner& expect_no_timeout(int line = __builtin_LINE()) {
        const std::uint32_t before = engine_->counters().timeouts;
        wake(line);
        expect_text("timeouts", before, engine_->counters().timeouts, line);
        return *this;
    }

    /// Blocks first .. first + count - 1 are offered for the first time; all of them leave.
    script_runner& expect_data(
        std::uint64_t first, std::uint16_t count, int line = __builtin_LINE()
    ) requires sends {
        return expect_run({first, count, false}, count, line);
    }

    /// As `expect_data`, and the first block was sent before.
    script_runner& expect_data_again(
        std::uint64_t first, std::uint16_t count, int line = __builtin_LINE()
    ) requires sends {
        return expect_run({first, count, true}, count, line);
    }

    /// `run` is offered and `sent` of its blocks leave.
    script_runner& expect_run(
        const send_data& run, std::uint16_t sent, int line = __builtin_LINE()
    ) requires sends {
        expect(describe{}(run), line);
        engine_->on_sent(run, sent, now_);
        return *this;
    }

    script_runner& expect_store(
        std::uint64_t offset, std::size_t size, bool last = false, int line = __builtin_LINE()
    ) requires(!sends) {
        return expect(describe::store_text(offset, size, last), line);
    }

    /// The datagram is sent, to the octet.
    script_runner& expect_datagram(
        const datagram& octets, const endpoint& to = peer, int line = __builtin_LINE()
    ) {
        return expect(describe{}(send_control{octets, to}), line);
    }

    script_runner&
    expect_ack(std::uint16_t block, const endpoint& to = peer, int line = __builtin_LINE()) {
        return expect_datagram(ack(block), to, line);
    }

    script_runner&
    expect_error(peer_errc code, const endpoint& to = peer, int line = __builtin_LINE()) {
        return expect_datagram(error_packet(code), to, line);
    }

    /// Nothing to do now.
    script_runner& expect_idle(int line = __builtin_LINE()) {
        const std::string wanted = "idle";
        const std::string got = take();
        const bool same = got.compare(0, wanted.size(), wanted) == 0;
        return expect_text("effect", wanted, same ? wanted : got, line);
    }

    /// Nothing to do before that time.
    script_runner& expect_idle_until(duration since_start, int line = __builtin_LINE()) {
        return expect(describe{}(idle{start + since_start}), line);
    }

    /// Nothing to do before the next input, however late it comes.
    script_runner& expect_idle_for_ever(int line = __builtin_LINE()) {
        return expect(describe{}(idle{}), line);
    }

    script_runner& expect_success(int line = __builtin_LINE()) {
        return expect(describe{}(completed{}), line);
    }

    script_runner& expect_failure(const error_code& why, int line = __builtin_LINE()) {
        return expect(describe{}(completed{why}), line);
    }

    script_runner& expect_closed(int line = __builtin_LINE()) {
        return expect(describe{}(closed{}), line);
    }

private:
    script_runner& expect(const std::string& wanted, int line) {
        return expect_text("effect", wanted, take(), line);
    }

    template <class T>
    script_runner& expect_text(const char* what, const T& wanted, const T& got, int line) {
        INFO(
            history_ << "line " << line << ", at " << milliseconds_text(now_ - start) << ": "
                     << what
        );
        REQUIRE(got == wanted);
        std::ostringstream text;
        text << "expected " << what << ' ' << wanted;
        note(line, text.str());
        return *this;
    }

    std::string take() requires sends { return std::visit(describe{}, engine_->next(blocks_max_)); }

    std::string take() requires(!sends) { return std::visit(describe{}, engine_->next()); }

    void note(int line, const std::string& event) {
        history_ += "line " + std::to_string(line) + ", at " + milliseconds_text(now_ - start) +
                    ": " + event + '\n';
    }

    Engine* engine_;
    time_point now_ = start;
    std::uint16_t blocks_max_ = 0xffff;
    /// Stores point into it.
    datagram octets_;
    std::string history_;
};

/// Begins a script for an engine that was made at `start`.
template <class Engine>
[[nodiscard]] script_runner<Engine> script(Engine& engine) {
    return script_runner<Engine>(engine);
}

} // namespace tftp::test
