#pragma once

#include <boost/context/fiber.hpp>

#include <functional>
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
        : inside_([this, body = std::move(body)](boost::context::fiber&& outside) {
              outside_ = std::move(outside);
              body(*this);
              return std::move(outside_);
          }) {}

    greenlet(const greenlet&) = delete;
    greenlet& operator=(const greenlet&) = delete;

    /// Called from outside: goes on inside until it calls back() or ends.
    void go_on() { inside_ = std::move(inside_).resume(); }

    /// Called from inside: goes on outside, behind the go_on() that came here.
    void back() { outside_ = std::move(outside_).resume(); }

    /// Returns whether the function has returned.
    [[nodiscard]] bool ended() const noexcept { return !inside_; }

private:
    boost::context::fiber inside_;
    boost::context::fiber outside_;
};

} // namespace example
