#pragma once

#include "base/iovec.hpp"

#include <tftp/base/unique_fd.hpp>

#include <cerrno>
#include <memory>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>

namespace tftp {

struct close_directory {
    void operator()(::DIR* directory) const noexcept { ::closedir(directory); }
};

/// Calls `take(name)` for each name in `directory` but "." and "..".
///
/// directory: opened for reading; consumed. Errors: as the system says.
template <class Take>
[[nodiscard]] error_code for_each_entry(unique_fd directory, Take&& take) {
    const std::unique_ptr<::DIR, close_directory> listing(::fdopendir(directory.get()));
    if (!listing) {
        return last_error();
    }
    // The listing closes it.
    static_cast<void>(directory.release());
    while (true) {
        errno = 0;
        const ::dirent* const entry = ::readdir(listing.get());
        if (entry == nullptr) {
            return errno == 0 ? error_code() : last_error();
        }
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") {
            take(name);
        }
    }
}

} // namespace tftp
