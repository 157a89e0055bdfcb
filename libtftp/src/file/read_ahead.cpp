#include "base/iovec.hpp"

#include <tftp/file/read_ahead.hpp>

#include <algorithm>
#include <cstring>
#include <new>

namespace tftp {

namespace {

/// Hands out the memory of several gaps in order.
class gap_writer {
public:
    explicit gap_writer(std::span<const ::iovec> gaps) noexcept : gaps_(gaps) {}

    void put(bytes_view octets) noexcept {
        while (!octets.empty()) {
            const ::iovec& gap = gaps_.front();
            const std::size_t part = std::min(gap.iov_len - used_, octets.size());
            if (part > 0) {
                std::memcpy(static_cast<std::byte*>(gap.iov_base) + used_, octets.data(), part);
            }
            octets = octets.subspan(part);
            used_ += part;
            if (used_ == gap.iov_len) {
                gaps_ = gaps_.subspan(1);
                used_ = 0;
            }
        }
    }

private:
    std::span<const ::iovec> gaps_;
    std::size_t used_ = 0;
};

} // namespace

result<read_outcome> read_ahead::try_read(
    const opened_file& file, std::uint64_t offset, std::span<const ::iovec> gaps, place& last
) noexcept {
    const std::uint64_t left = file.size() - std::min(offset, file.size());
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(total_size(gaps), left));
    gap_writer out(gaps);
    std::size_t done = 0;
    while (done < wanted) {
        const std::uint64_t at = offset + done;
        const auto begin = static_cast<std::size_t>(at % chunk_size);
        const std::size_t part = std::min(wanted - done, chunk_size - begin);
        chunk* const from = find_or_recycle(file.serial(), at / chunk_size, last);
        if (from == nullptr) {
            return file.try_read(offset, gaps);
        }
        if (from->filled < begin + part || from->age.is_over()) {
            const error_code failed = fill(*from, file, begin + part);
            if (failed) {
                return failed;
            }
        }
        out.put({from->octets.get() + begin, part});
        done += part;
    }
    return read_outcome{wanted, wanted == left};
}

read_ahead::chunk*
read_ahead::find_or_recycle(std::uint64_t file, std::uint64_t index, place& last) noexcept {
    ++uses_;
    if (chunk& same = chunks_[last]; same.file == file && same.index == index) {
        same.last_use = uses_;
        return &same;
    }
    // One that no file has was never used last, so it is taken first; a new one only without it.
    chunk* oldest = &chunks_[std::min(used_, chunks_max - 1)];
    for (chunk& each : used()) {
        if (each.file == file && each.index == index) {
            each.last_use = uses_;
            last = static_cast<place>(&each - chunks_.data());
            return &each;
        }
        if (each.last_use <= oldest->last_use) {
            oldest = &each;
        }
    }
    if (!oldest->octets) {
        oldest->octets.reset(new (std::nothrow) std::byte[chunk_size]);
        if (!oldest->octets) {
            return nullptr;
        }
    }
    oldest->file = file;
    oldest->index = index;
    oldest->last_use = uses_;
    oldest->filled = 0;
    last = static_cast<place>(oldest - chunks_.data());
    used_ = std::max(used_, last + 1);
    return oldest;
}

error_code read_ahead::fill(chunk& into, const opened_file& file, std::size_t needed) noexcept {
    if (into.age.is_over()) {
        into.filled = 0;
    }
    while (into.filled < needed) {
        if (into.filled == 0) {
            into.age = freshness::begin();
        }
        const bytes_span rest(into.octets.get() + into.filled, chunk_size - into.filled);
        const result<std::size_t> got =
            file.try_read_some(into.index * chunk_size + into.filled, rest);
        if (!got) {
            return got.error();
        }
        into.filled += *got;
        file.map().on_read(into.index * chunk_size, into.index * chunk_size + into.filled);
    }
    return {};
}

void read_ahead::keep(const opened_file& file, std::uint64_t offset, bytes_view octets) noexcept {
    while (!octets.empty()) {
        const auto size = static_cast<std::size_t>(
            std::min<std::uint64_t>(chunk_size, file.size() - std::min(offset, file.size()))
        );
        if (offset % chunk_size != 0 || size == 0 || octets.size() < size) {
            return;
        }
        place found = 0;
        chunk* const into = find_or_recycle(file.serial(), offset / chunk_size, found);
        if (into == nullptr) {
            return;
        }
        std::memcpy(into->octets.get(), octets.data(), size);
        into->filled = size;
        into->age = freshness::begin();
        octets = octets.subspan(size);
        offset += size;
    }
}

void read_ahead::forget(const opened_file& file) noexcept {
    for (chunk& each : used()) {
        if (each.file == file.serial()) {
            each = chunk();
        }
    }
    while (used_ > 0 && chunks_[used_ - 1].file == 0) {
        --used_;
    }
}

std::size_t read_ahead::chunks() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        chunks_.begin(), chunks_.end(), [](const chunk& each) { return each.octets != nullptr; }
    ));
}

} // namespace tftp
