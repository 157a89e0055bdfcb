#include <tftp/driver/client_transfer.hpp>

#include <utility>

namespace tftp::io {

namespace {

[[nodiscard]] result<std::unique_ptr<datagram_port>>
open_port(const request& asked, port_factory& ports) noexcept {
    port_options options;
    options.refusals = true;
    options.sends = asked.sends;
    if (asked.options.windowsize.value_or(1) > 1) {
        options.coalesce = true;
        parameters wanted;
        wanted.windowsize = *asked.options.windowsize;
        wanted.blksize = asked.options.blksize.value_or(blksize_default);
        options.receive_buffer = receive_buffer_for(wanted);
    }
    endpoint any;
    any.family = asked.server.family;
    return ports.open(any, options);
}

template <class Engine, class Content>
[[nodiscard]] result<std::unique_ptr<transfer>> make(
    verb v,
    const request& asked,
    const result<Engine>& engine,
    Content content,
    port_factory& ports,
    time_point now
) {
    if (!engine) {
        return engine.error();
    }
    auto port = open_port(asked, ports);
    if (!port) {
        return port.error();
    }
    transfer_setup setup{v, asked.filename, asked.mode, std::move(*port), nullptr};
    return std::make_unique<transfer>(std::move(setup), *engine, std::move(content), now);
}

/// Octets of one window at the largest that may be agreed.
[[nodiscard]] std::size_t window_octets(const offer& offered) noexcept {
    return std::size_t{offered.windowsize.value_or(1)} * offered.blksize.value_or(blksize_default);
}

/// Shares what the caller owns, without a part in its lifetime.
template <class T>
[[nodiscard]] std::shared_ptr<T> borrow(T& object) noexcept {
    return {std::shared_ptr<void>(), &object};
}

} // namespace

result<std::unique_ptr<transfer>>
begin_get(const request& asked, sink& into, port_factory& ports, time_point now) {
    const auto engine = receiver::request(
        asked.filename, asked.mode, asked.options, asked.server, asked.engine, now
    );
    std::shared_ptr<sink> content = borrow(into);
    if (asked.mode == transfer_mode::netascii) {
        content = std::make_shared<netascii_sink>(std::move(content));
    }
    return make(verb::read, asked, engine, std::move(content), ports, now);
}

result<std::unique_ptr<transfer>>
begin_put(const request& asked, source& from, port_factory& ports, time_point now) {
    offer offered = asked.options;
    std::shared_ptr<source> content = borrow(from);
    if (asked.mode == transfer_mode::netascii) {
        // The size on the wire is not known in advance (RFC 2349).
        offered.tsize.reset();
        content = std::make_shared<netascii_source>(std::move(content), window_octets(offered));
    } else if (offered.tsize) {
        offered.tsize = from.size();
    }
    const auto engine =
        sender::request(asked.filename, asked.mode, offered, asked.server, asked.engine, now);
    return make(verb::write, asked, engine, std::move(content), ports, now);
}

} // namespace tftp::io
