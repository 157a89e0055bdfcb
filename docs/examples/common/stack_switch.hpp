#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define TFTP_STACKS_ARE_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TFTP_STACKS_ARE_WATCHED 1
#endif
#endif

#ifdef TFTP_STACKS_ARE_WATCHED
#include <sanitizer/common_interface_defs.h>
#endif

namespace example {

/// Where a stack lies in memory.
struct stack_bounds {
    const void* lowest = nullptr;
    std::size_t size = 0;
};

/// AddressSanitizer knows the stack of a thread, and has to be told when another takes its place.
/// Nothing of this is in a build without it.
namespace watched {

#ifdef TFTP_STACKS_ARE_WATCHED
inline void leave(void** kept, const stack_bounds& to) {
    __sanitizer_start_switch_fiber(kept, to.lowest, to.size);
}

inline void arrive(void* kept, stack_bounds& from) {
    __sanitizer_finish_switch_fiber(kept, &from.lowest, &from.size);
}
#else
inline void leave(void** /*kept*/, const stack_bounds& /*to*/) {}

inline void arrive(void* /*kept*/, stack_bounds& /*from*/) {}
#endif

} // namespace watched

/// Lives while control is away from this stack: made before the switch, destroyed after the return.
class away {
public:
    /// Control goes to the stack of `to`, and comes back from it; `to` must outlive this.
    explicit away(stack_bounds& to) : to_(to) { watched::leave(&kept_, to_); }

    ~away() { watched::arrive(kept_, to_); }

    away(const away&) = delete;
    away& operator=(const away&) = delete;

private:
    stack_bounds& to_;
    void* kept_ = nullptr;
};

/// Lives while a stack of its own is in use: made by the first that runs on it, destroyed by the
/// last.
class visit {
public:
    /// Control came from the stack that is stored in `from`, and will go back there.
    explicit visit(stack_bounds& from) : from_(from) { watched::arrive(nullptr, from_); }

    ~visit() { watched::leave(nullptr, from_); }

    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;

private:
    stack_bounds& from_;
};

} // namespace example
