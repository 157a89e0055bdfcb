#include "wire/option_spec.hpp"
#include "wire/text.hpp"

#include <tftp/base/assert.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <charconv>
#include <limits>

namespace tftp {

namespace {

std::string_view as_text(bytes_view bytes) noexcept {
    // char may alias any object, and the bytes are only compared and copied.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Precondition: bytes holds at least 2 bytes behind `at`.
std::uint16_t read_u16(bytes_view bytes, std::size_t at) noexcept {
    const auto high = std::to_integer<unsigned>(bytes[at]);
    const auto low = std::to_integer<unsigned>(bytes[at + 1]);
    return static_cast<std::uint16_t>(high << 8 | low);
}

result<packet_view> decode_request(opcode op, std::string_view body) noexcept {
    const std::size_t name_size = body.find('\0');
    if (name_size == std::string_view::npos || name_size == 0) {
        return errc::malformed;
    }
    request_view request;
    request.op = op;
    request.filename = {body.data(), name_size};

    body.remove_prefix(name_size + 1);
    if (body.empty()) {
        return errc::malformed;
    }
    const std::size_t mode_size = std::min(body.find('\0'), body.size());
    const std::string_view mode(body.data(), mode_size);
    if (detail::equal_ignoring_case(mode, to_string(transfer_mode::octet))) {
        request.mode = transfer_mode::octet;
    } else if (detail::equal_ignoring_case(mode, to_string(transfer_mode::netascii))) {
        request.mode = transfer_mode::netascii;
    } else {
        return errc::unsupported_mode;
    }
    // A mode that the end of the datagram cuts off before its NUL is served as the field does it.
    body.remove_prefix(std::min(mode_size + 1, body.size()));
    request.options = option_list(body);
    return packet_view(request);
}

result<packet_view> decode_error(bytes_view datagram) noexcept {
    if (datagram.size() < header_size) {
        return errc::malformed;
    }
    const std::string_view text = as_text(datagram.subspan(header_size));
    error_view error;
    error.code = static_cast<peer_errc>(read_u16(datagram, 2));
    error.message = {text.data(), std::min(text.find('\0'), text.size())};
    return packet_view(error);
}

/// Appends to memory of a fixed size and remembers when something did not fit.
class writer {
public:
    explicit writer(bytes_span out) noexcept : out_(out) {}

    void u16(std::uint16_t value) noexcept {
        byte(static_cast<unsigned char>(value >> 8));
        byte(static_cast<unsigned char>(value & 0xff));
    }

    /// Appends the text and a NUL.
    void string(std::string_view text) noexcept {
        for (const char c : text) {
            byte(static_cast<unsigned char>(c));
        }
        byte(0);
    }

    void decimal(std::uint64_t value) noexcept {
        std::array<char, std::numeric_limits<std::uint64_t>::digits10 + 1> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
        string({digits.data(), static_cast<std::size_t>(end - digits.data())});
    }

    void option(std::string_view name, const option_value& value) noexcept {
        string(name);
        if (value.is_text()) {
            string(value.text());
        } else {
            decimal(value.number());
        }
    }

    [[nodiscard]] result<std::size_t> finish() const noexcept {
        if (overflow_) {
            return errc::too_long;
        }
        return size_;
    }

private:
    void byte(unsigned char value) noexcept {
        if (size_ == out_.size()) {
            overflow_ = true;
            return;
        }
        out_[size_] = static_cast<std::byte>(value);
        ++size_;
    }

    bytes_span out_;
    std::size_t size_ = 0;
    bool overflow_ = false;
};

} // namespace

result<packet_view> decode(bytes_view datagram) noexcept {
    if (datagram.size() < 2) {
        return errc::malformed;
    }
    const auto op = static_cast<opcode>(read_u16(datagram, 0));
    switch (op) {
    case opcode::rrq:
    case opcode::wrq:
        return decode_request(op, as_text(datagram.subspan(2)));
    case opcode::data:
        if (datagram.size() < header_size) {
            return errc::malformed;
        }
        return packet_view(data_view{read_u16(datagram, 2), datagram.subspan(header_size)});
    case opcode::ack:
        if (datagram.size() < header_size) {
            return errc::malformed;
        }
        return packet_view(ack_view{read_u16(datagram, 2), datagram.subspan(header_size)});
    case opcode::error:
        return decode_error(datagram);
    case opcode::oack:
        return packet_view(oack_view{option_list(as_text(datagram.subspan(2)))});
    }
    return errc::unknown_opcode;
}

result<std::size_t>
encode_error(peer_errc code, std::string_view message, bytes_span out) noexcept {
    if (out.size() < header_size + 1) {
        return errc::too_long;
    }
    // The text ends at a NUL on the wire, whatever follows it.
    const std::size_t room = out.size() - header_size - 1;
    const std::size_t size = std::min({message.find('\0'), message.size(), room});
    writer w(out);
    w.u16(static_cast<std::uint16_t>(opcode::error));
    w.u16(static_cast<std::uint16_t>(code));
    w.string({message.data(), size});
    return w.finish();
}

result<std::size_t> detail::encode_request(
    std::span<const option_spec> specs,
    opcode op,
    std::string_view filename,
    transfer_mode mode,
    const offer& offered,
    bytes_span out
) noexcept {
    TFTP_ASSERT(op == opcode::rrq || op == opcode::wrq);
    if (filename.empty() || filename.find('\0') != std::string_view::npos) {
        return errc::bad_name;
    }
    writer w(out.first(std::min(out.size(), request_size_max)));
    w.u16(static_cast<std::uint16_t>(op));
    w.string(filename);
    w.string(to_string(mode));
    for (const option_spec& each : specs) {
        if (const std::optional<option_value> value = each.ask(offered)) {
            w.option(each.name, *value);
        }
    }
    return w.finish();
}

result<std::size_t> encode_request(
    opcode op, std::string_view filename, transfer_mode mode, const offer& offered, bytes_span out
) noexcept {
    return detail::encode_request(detail::option_specs(), op, filename, mode, offered, out);
}

result<std::size_t> encode_oack(const answer& answered, bytes_span out) noexcept {
    TFTP_ASSERT(answered.needs_oack());
    writer w(out);
    w.u16(static_cast<std::uint16_t>(opcode::oack));
    for (const answer::accepted& each :
         std::span(answered.options).first(answered.accepted_count)) {
        w.option(each.name, each.value);
    }
    return w.finish();
}

} // namespace tftp
