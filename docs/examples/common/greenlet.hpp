#pragma once

#include "common/stack_switch.hpp"

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/preallocated.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace example {

/// A function with a stack of its own that gives control away in the middle, wherever it stands,
/// also deep in other functions: that is what a C++20 coroutine cannot. Boost.Context saves and
/// loads the registers.
///
/// Neither copied nor moved: the function knows its place. One that is destroyed half-way is
/// unwound, as by an exception.
class greenlet {
public:
    /// Runs `body` when it is first switched to; body(self) gives control back by self.back().
    explicit greenlet(std::function<void(greenlet& self)> body)
        : greenlet(boost::context::fixedsize_stack().allocate(), std::move(body)) {}

    ~greenlet() {
        if (!ended()) {
            const away unwinding(inner_);
            inside_ = {};
        }
    }

    greenlet(const greenlet&) = delete;
    greenlet& operator=(const greenlet&) = delete;

    /// Called from outside: goes on inside until it calls back() or ends.
    void go_on() {
        const away running(inner_);
        inside_ = std::move(inside_).resume();
    }

    /// Called from inside: goes on outside, behind the go_on() that came here.
    void back() {
        const away waiting(outer_);
        outside_ = std::move(outside_).resume();
    }

    /// Returns whether the function has returned.
    [[nodiscard]] bool ended() const noexcept { return !inside_; }

private:
    /// The stack is memory like any other; it ends with the function, or in the destructor.
    greenlet(boost::context::stack_context memory, std::function<void(greenlet& self)> body)
        : inner_{static_cast<char*>(memory.sp) - memory.size, memory.size},
          inside_(
              std::allocator_arg,
              boost::context::preallocated(memory.sp, memory.size, memory),
              boost::context::fixedsize_stack(),
              [this, body = std::move(body)](boost::context::fiber&& outside) {
                  const visit whole(outer_);
                  outside_ = std::move(outside);
                  body(*this);
                  return std::move(outside_);
              }
          ) {}

    stack_bounds inner_;
    stack_bounds outer_;
    boost::context::fiber inside_;
    boost::context::fiber outside_;
};

} // namespace example
