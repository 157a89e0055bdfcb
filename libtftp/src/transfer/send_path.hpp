#pragma once

#include "transfer/content_reader.hpp"
#include "transfer/engine_path.hpp"

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/source.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/engine/sender.hpp>
#include <tftp/socket/scratch.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace tftp {

/// From the content of a source to DATA on the wire: in place, read where it stands, or read by the
/// pool.
class send_path final : public engine_path<sender> {
public:
    send_path(transfer_state& state, const sender& engine, std::shared_ptr<source> from) noexcept;

    /// Does what the engine wants done.
    void act(scratch& memory, time_point now) noexcept;

    /// Returns how many messages one receive takes.
    [[nodiscard]] std::size_t messages_max() const noexcept;

    /// A batch of messages may be taken from the port: always.
    [[nodiscard]] bool begin_batch(time_point) noexcept { return true; }

    /// Takes one datagram of the batch. One run answers the whole batch: see act().
    void on_datagram(bytes_view datagram, const endpoint& from, scratch&, time_point now) noexcept {
        engine_.on_datagram(datagram, from, now);
    }

    void end_batch(scratch&, time_point) noexcept {}

    /// A cold read is done: the reader has what it brought.
    void on_resumed(time_point) noexcept {}

    [[nodiscard]] std::uint64_t bytes_sent() const noexcept;

    void release_file() noexcept { reader_.release(); }

private:
    /// What came of a run of DATA.
    struct run_result {
        /// As `datagram_socket::send_run` returns it, or why there was nothing to send.
        result<std::uint16_t> left;
        /// Blocks it was, fewer than asked for when the content ends.
        std::size_t blocks = 0;
        /// It never came to the port.
        bool unread = false;
    };

    [[nodiscard]] bool send_run(const send_data& run, scratch& memory, time_point now) noexcept;
    [[nodiscard]] std::optional<run_result>
    send_in_place(const send_data& run, scratch& memory) noexcept;
    [[nodiscard]] run_result send_read(const send_data& run, scratch& memory) noexcept;
    [[nodiscard]] bool
    on_unread(const send_data& run, const error_code& why, time_point now) noexcept;
    [[nodiscard]] bool wait_for_buffer(time_point now) noexcept;

    [[nodiscard]] std::uint64_t offset_of(const send_data& run) const noexcept {
        return (run.first_block - 1) * engine_.agreed().blksize;
    }

    content_reader reader_;
    /// Since when the socket's buffer has taken nothing.
    std::optional<time_point> buffer_full_since_;
};

} // namespace tftp
