#include <tftp/base/endpoint.hpp>

#include <charconv>
#include <string_view>

namespace tftp {

namespace {

/// Writes into memory that is known to do.
class writer {
public:
    explicit writer(char* to) noexcept : begin_(to), at_(to) {}

    void add(std::string_view text) noexcept {
        for (const char c : text) {
            *at_++ = c;
        }
    }

    void add(std::uint32_t number, int base) noexcept {
        at_ = std::to_chars(at_, at_ + 10, number, base).ptr;
    }

    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(at_ - begin_);
    }

private:
    char* begin_;
    char* at_;
};

void add_ipv4(writer& out, const std::uint8_t* bytes) noexcept {
    for (std::size_t i = 0; i < 4; ++i) {
        out.add(i == 0 ? "" : ".");
        out.add(bytes[i], 10);
    }
}

[[nodiscard]] std::uint32_t group(const endpoint& e, std::size_t i) noexcept {
    return std::uint32_t{e.address[2 * i]} << 8U | e.address[2 * i + 1];
}

/// The longest run of zero groups, the first of several; size 0 when none has two. RFC 5952 s.4.2.
struct zero_run {
    std::size_t first = 0;
    std::size_t size = 0;
};

[[nodiscard]] zero_run longest_zeros(const endpoint& e) noexcept {
    zero_run longest;
    for (std::size_t i = 0; i < 8; ++i) {
        std::size_t end = i;
        while (end < 8 && group(e, end) == 0) {
            ++end;
        }
        if (end - i >= 2 && end - i > longest.size) {
            longest = {i, end - i};
        }
    }
    return longest;
}

void add_ipv6(writer& out, const endpoint& e) noexcept {
    const zero_run zeros = longest_zeros(e);
    const bool mapped = zeros.first == 0 && zeros.size == 5 && group(e, 5) == 0xffff;
    for (std::size_t i = 0; i < (mapped ? 6U : 8U);) {
        if (zeros.size != 0 && i == zeros.first) {
            out.add("::");
            i += zeros.size;
            continue;
        }
        out.add(i == 0 || i == zeros.first + zeros.size ? "" : ":");
        out.add(group(e, i), 16);
        ++i;
    }
    if (mapped) {
        out.add(":");
        add_ipv4(out, &e.address[12]);
    }
}

} // namespace

std::size_t format(const endpoint& e, std::span<char, endpoint_text_max> into) noexcept {
    writer out(into.data());
    switch (e.family) {
    case address_family::none:
        out.add("unspecified");
        return out.size();
    case address_family::ipv4:
        add_ipv4(out, e.address.data());
        break;
    case address_family::ipv6:
        out.add("[");
        add_ipv6(out, e);
        if (e.scope != 0) {
            out.add("%");
            out.add(e.scope, 10);
        }
        out.add("]");
        break;
    }
    out.add(":");
    out.add(e.port, 10);
    return out.size();
}

} // namespace tftp
