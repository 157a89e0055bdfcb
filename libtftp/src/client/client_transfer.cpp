#include <tftp/client/client_transfer.hpp>
#include <tftp/socket/socket_address.hpp>
#include <tftp/transfer/make_transfer.hpp>
#include <tftp/transfer/receive_window.hpp>

#include <algorithm>
#include <utility>

namespace tftp {

namespace {

[[nodiscard]] result<socket_options> options_for(const client_request& asked) noexcept {
    socket_options options;
    options.refusals = true;
    options.sends = asked.sends;
    if (asked.device.size() >= options.device.size() ||
        asked.device.view().find('\0') != std::string_view::npos) {
        return make_error_code(boost::system::errc::no_such_device);
    }
    std::ranges::copy(asked.device.view(), options.device.begin());
    return options;
}

/// Returns where to bind the port. Throws std::bad_alloc.
[[nodiscard]] result<endpoint> local_for(const client_request& asked) {
    if (asked.server.family == address_family::none) {
        return make_error_code(errc::no_server);
    }
    endpoint any;
    any.family = asked.server.family;
    if (asked.local.empty()) {
        return any;
    }
    const bool port_alone = asked.local.view().front() == ':';
    const result<endpoint> parsed =
        parse_endpoint((port_alone ? "0.0.0.0" : "") + std::string(asked.local), 0);
    if (!parsed) {
        return make_error_code(errc::bad_local_address);
    }
    if (port_alone) {
        return any.with_port(parsed->port);
    }
    return parsed->family == any.family ? parsed : make_error_code(errc::bad_local_address);
}

[[nodiscard]] result<std::unique_ptr<datagram_socket>>
open_port(const client_request& asked, socket_factory& ports, const socket_options& options) {
    const result<endpoint> local = local_for(asked);
    return local ? ports.open(*local, options) : local.error();
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
    result<socket_options> options = options_for(asked);
    if (!options) {
        return options.error();
    }
    offer offered = offer_for(asked);
    parameters wanted;
    wanted.blksize = offered.blksize.value_or(blksize_default);
    wanted.windowsize = offered.windowsize.value_or(1);
    if (wanted.windowsize > 1) {
        options->coalesce = true;
        options->receive_buffer = receive_buffer_for(wanted);
    }
    auto port = open_port(asked, ports, *options);
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
    const result<socket_options> options = options_for(asked);
    if (!options) {
        return options.error();
    }
    offer offered = offer_for(asked);
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
    auto port = open_port(asked, ports, *options);
    if (!port) {
        return port.error();
    }
    transfer_setup setup{
        transfer_direction::write, asked.filename, asked.mode, std::move(*port), nullptr};
    return make_transfer(std::move(setup), *engine, std::move(content), now);
}

} // namespace tftp
