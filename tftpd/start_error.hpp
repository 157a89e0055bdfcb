#pragma once

#include <stdexcept>

namespace tftpd {

/// Something that keeps the daemon from starting; `what()` is one line for the user.
class start_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

} // namespace tftpd
