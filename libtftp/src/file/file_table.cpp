#include <tftp/file/file_table.hpp>

#include <new>

namespace tftp {

std::shared_ptr<const opened_file> file_table::share(std::shared_ptr<const opened_file> file
) noexcept {
    try {
        return files_.share(file->identity(), [&] { return file; });
    } catch (const std::bad_alloc&) {
        // Not shared, and no less usable.
        return file;
    }
}

} // namespace tftp
