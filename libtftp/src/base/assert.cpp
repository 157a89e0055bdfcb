#include <tftp/base/assert.hpp>

#include <cstdio>

namespace tftp::detail {

void assertion_failed(const char* condition, const char* file, int line) noexcept {
    static_cast<void>(std::fprintf(
        stderr,
        "%s:%d: this must hold, but does not: %s (a defect: please report it)\n",
        file,
        line,
        condition
    ));
    __builtin_trap();
}

} // namespace tftp::detail
