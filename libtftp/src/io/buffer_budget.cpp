#include <tftp/io/buffer_budget.hpp>

namespace tftp::io {

bool buffer_budget::take(std::size_t octets) noexcept {
    std::size_t left = left_.load();
    while (left >= octets) {
        if (left_.compare_exchange_weak(left, left - octets)) {
            return true;
        }
    }
    return false;
}

} // namespace tftp::io
