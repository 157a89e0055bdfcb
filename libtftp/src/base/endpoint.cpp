#include <tftp/base/endpoint.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#ifdef _WIN32
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#endif

namespace tftp {

namespace {

/// Writes into memory that is known to do.
class writer {
public:
    explicit writer(std::span<char, endpoint_text_max> to) noexcept : to_(to) {}

    void add(std::string_view text) noexcept {
        std::ranges::copy(text, &to_[size_]);
        size_ += text.size();
    }

    void add(std::uint32_t number) noexcept {
        char* const end = to_.data() + to_.size();
        const auto written = std::to_chars(&to_[size_], end, number);
        size_ = static_cast<std::size_t>(written.ptr - to_.data());
    }

    void add(int family, const endpoint& e) noexcept {
        // Cannot fail: the family is known and there is room for the longest address.
        ::inet_ntop(family, e.address.data(), &to_[size_], INET6_ADDRSTRLEN);
        size_ += std::strlen(&to_[size_]);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    std::span<char, endpoint_text_max> to_;
    std::size_t size_ = 0;
};

} // namespace

std::size_t format(const endpoint& e, std::span<char, endpoint_text_max> into) noexcept {
    writer out(into);
    switch (e.family) {
    case address_family::none:
        out.add("unspecified");
        return out.size();
    case address_family::ipv4:
        out.add(AF_INET, e);
        break;
    case address_family::ipv6:
        out.add("[");
        out.add(AF_INET6, e);
        if (e.scope != 0) {
            out.add("%");
            out.add(e.scope);
        }
        out.add("]");
        break;
    }
    out.add(":");
    out.add(e.port);
    return out.size();
}

} // namespace tftp
