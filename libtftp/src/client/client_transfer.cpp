#include <tftp/client/client_transfer.hpp>
#include <tftp/transfer/make_transfer.hpp>
#include <tftp/transfer/receive_window.hpp>

#include <algorithm>
#include <utility>

namespace tftp {

namespace {

[[nodiscard]] socket_options options_for(const client_request& asked) noexcept {
    socket_options options;
    options.refusals = true;
    options.sends = asked.sends;
    return options;
}

[[nodiscard]] endpoint any_address_of(const endpoint& server) noexcept {
    endpoint any;
    any.family = server.family;
    return any;
}

/// Bytes of one window at the largest that may be agreed: a server that leaves out a blksize below
/// the default has agreed to the default.
[[nodiscard]] std::size_t window_bytes(const offer& offered) noexcept {
    const std::uint16_t blksize = std::max(offered.blksize.value_or(0), blksize_default);
    return std::size_t{offered.windowsize.value_or(1)} * blksize;
}

/// Passes on what keeps to a size.
class limited_sink final : public sink {
public:
    limited_sink(std::shared_ptr<sink> into, std::uint64_t size_max_bytes) noexcept
        : into_(std::move(into)), left_(size_max_bytes) {}

    [[nodiscard]] std::uint64_t lane() const noexcept override { return into_->lane(); }

    [[nodiscard]] bool remote() const noexcept override { return into_->remote(); }

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
        return size_bytes > left_ ? make_error_code(errc::too_large) : into_->reserve(size_bytes);
    }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        for (const ::iovec& payload : payloads) {
            if (payload.iov_len > left_) {
                return errc::too_large;
            }
            left_ -= payload.iov_len;
        }
        return into_->write(offset, payloads);
    }

    [[nodiscard]] error_code commit() noexcept override { return into_->commit(); }

private:
    std::shared_ptr<sink> into_;
    std::uint64_t left_;
};

/// Shares what the caller owns, without a part in its lifetime.
template <class T>
[[nodiscard]] std::shared_ptr<T> borrow(T& object) noexcept {
    return {std::shared_ptr<void>(), &object};
}

} // namespace

result<std::unique_ptr<transfer>>
begin_get(const client_request& asked, sink& into, socket_factory& ports, time_point now) {
    offer offered = asked.options;
    socket_options options = options_for(asked);
    parameters wanted;
    wanted.blksize = offered.blksize.value_or(blksize_default);
    wanted.windowsize = offered.windowsize.value_or(1);
    if (wanted.windowsize > 1) {
        options.coalesce = true;
        options.receive_buffer = receive_buffer_for(wanted);
    }
    auto port = ports.open(any_address_of(asked.server), options);
    if (!port) {
        return port.error();
    }
    if (offered.windowsize) {
        // A window that does not fit the buffer loses its tail every time.
        offered.windowsize =
            std::min(*offered.windowsize, window_that_fits(**port, wanted.blksize));
    }
    const auto engine =
        receiver::request(asked.filename, asked.mode, offered, asked.server, asked.engine, now);
    if (!engine) {
        return engine.error();
    }
    std::shared_ptr<sink> content = borrow(into);
    if (asked.size_max_bytes != 0) {
        content = std::make_shared<limited_sink>(std::move(content), asked.size_max_bytes);
    }
    if (asked.mode == transfer_mode::netascii) {
        content = std::make_shared<netascii_sink>(std::move(content));
    }
    transfer_setup setup{
        transfer_direction::read, asked.filename, asked.mode, std::move(*port), nullptr};
    return make_transfer(std::move(setup), *engine, std::move(content), now);
}

result<std::unique_ptr<transfer>>
begin_put(const client_request& asked, source& from, socket_factory& ports, time_point now) {
    offer offered = asked.options;
    std::shared_ptr<source> content = borrow(from);
    if (asked.mode == transfer_mode::netascii) {
        // The size on the wire is not known in advance (RFC 2349).
        offered.tsize.reset();
        content = std::make_shared<netascii_source>(std::move(content), window_bytes(offered));
    } else if (offered.tsize) {
        offered.tsize = from.size();
    }
    const auto engine =
        sender::request(asked.filename, asked.mode, offered, asked.server, asked.engine, now);
    if (!engine) {
        return engine.error();
    }
    auto port = ports.open(any_address_of(asked.server), options_for(asked));
    if (!port) {
        return port.error();
    }
    transfer_setup setup{
        transfer_direction::write, asked.filename, asked.mode, std::move(*port), nullptr};
    return make_transfer(std::move(setup), *engine, std::move(content), now);
}

} // namespace tftp
