#pragma once

#include <cstddef>
#include <new>

namespace tftp {

/// Gives back the buckets of a hash table that a crowd has left. Cheap while there is a crowd.
template <class Table>
void shrink_table(Table& table) noexcept {
    constexpr std::size_t small = 1024;
    if (table.bucket_count() < small || table.size() > table.bucket_count() / 16) {
        return;
    }
    try {
        table.rehash(0);
    } catch (const std::bad_alloc&) {
        // The larger table serves as well.
    }
}

} // namespace tftp
