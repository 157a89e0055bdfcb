#include <sim/content.hpp>
#include <sim/prng.hpp>

namespace tftp::sim {

const std::array<std::byte, content::period + content::at_most>& content::table() noexcept {
    static const auto octets = [] {
        std::array<std::byte, period + at_most> t{};
        prng random(1);
        for (std::size_t i = 0; i < period; ++i) {
            t[i] = static_cast<std::byte>(random.next());
        }
        for (std::size_t i = 0; i < at_most; ++i) {
            t[period + i] = t[i];
        }
        return t;
    }();
    return octets;
}

} // namespace tftp::sim
