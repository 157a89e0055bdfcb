#include <cstdlib>
#include <malloc.h>
#include <new>
#include <sim/heap.hpp>

// The program has one thread, so plain counters do.

namespace {

std::size_t live_blocks = 0;
std::size_t live_octets = 0;

[[maybe_unused]] void* take(std::size_t size) noexcept {
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory != nullptr) {
        ++live_blocks;
        live_octets += malloc_usable_size(memory);
    }
    return memory;
}

[[maybe_unused]] void give_back(void* memory) noexcept {
    if (memory != nullptr) {
        --live_blocks;
        live_octets -= malloc_usable_size(memory);
        std::free(memory);
    }
}

} // namespace

// The other forms end in these. Sanitizers have all of them, and find what is lost themselves.
#ifndef TFTP_TEST_INSTRUMENTED

void* operator new(std::size_t size) {
    void* const memory = take(size);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

void operator delete(void* memory) noexcept {
    give_back(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    give_back(memory);
}

#endif

namespace tftp::sim::heap {

std::size_t blocks() noexcept {
    return live_blocks;
}

std::size_t octets() noexcept {
    return live_octets;
}

} // namespace tftp::sim::heap
