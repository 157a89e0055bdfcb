#include <tftp/file/file_cache.hpp>

#include <algorithm>
#include <cstdint>
#include <new>
#include <time.h>

namespace tftp {

namespace {

/// Returns true when the content and the names of the file have been as they are for a while.
[[nodiscard]] bool is_settled(const opened_file& file) noexcept {
    ::timespec now{};
    if (::clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0) {
        return false;
    }
    const std::int64_t now_ns = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    return std::chrono::nanoseconds(now_ns - file.identity().ctime_ns) >= file_cache::settled_after;
}

} // namespace

std::shared_ptr<const opened_file>
file_cache::share(std::shared_ptr<const opened_file> file, std::string_view name) noexcept {
    std::shared_ptr<const opened_file> shared = files.share(std::move(file));
    try {
        keep(shared, name);
    } catch (const std::bad_alloc&) {
        // Not kept, and no less usable.
    }
    return shared;
}

std::shared_ptr<const opened_file> file_cache::find(std::string_view name) const noexcept {
    const auto found = std::ranges::find(kept_, name, &kept::name);
    return found == kept_.end() ? nullptr : found->file;
}

void file_cache::keep(const std::shared_ptr<const opened_file>& file, std::string_view name) {
    auto place = std::ranges::find(kept_, file, &kept::file);
    if (place == kept_.end()) {
        if (file->remote() || !is_settled(*file)) {
            return;
        }
        if (kept_.size() < kept_max) {
            place = kept_.emplace(kept_.end());
        } else {
            place = std::ranges::find_if(kept_, &file_cache::idle);
            if (place == kept_.end()) {
                return;
            }
            chunks.forget(*place->file);
            place->name.clear();
        }
        place->file = file;
    }
    place->used = true;
    if (!name.empty()) {
        place->name = name;
    }
}

void file_cache::leave(const std::shared_ptr<const opened_file>& file) noexcept {
    if (file.use_count() == 1) {
        chunks.forget(*file);
    }
}

} // namespace tftp
