#include <tftp/io/file_table.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace tftp::io {

std::shared_ptr<const opened_file> file_table::share(std::shared_ptr<const opened_file> file
) noexcept {
    try {
        if (files_.size() >= sweep_at_) {
            sweep();
        }
        std::weak_ptr<const opened_file>& entry = files_[file->identity()];
        if (std::shared_ptr<const opened_file> shared = entry.lock()) {
            return shared;
        }
        entry = file;
    } catch (const std::bad_alloc&) {
        // Not shared, and no less usable.
    }
    return file;
}

void file_table::sweep() noexcept {
    std::erase_if(files_, [](const auto& entry) { return entry.second.expired(); });
    // Each sweep is paid for by as many insertions as it leaves entries behind.
    sweep_at_ = std::max<std::size_t>(64, 2 * files_.size());
}

std::size_t file_table::size() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        files_.begin(), files_.end(), [](const auto& entry) { return !entry.second.expired(); }
    ));
}

} // namespace tftp::io
