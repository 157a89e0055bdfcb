#pragma once

#include <tftp/content/content.hpp>
#include <tftp/content/provider.hpp>

#include <functional>
#include <memory>

namespace tftp {

/// What a client asks a server for, as a handler sees it.
using request = content_request;

/// Answers a read: with what to send, or why not. May block and may throw: an error of Boost.System
/// is answered by its wire code, anything else by ERROR 0. Called in threads of the server, by
/// several at a time.
using read_handler = std::function<content(const request& asked)>;

/// Answers a write: with where to store what comes, or why not. Otherwise as `read_handler`.
using write_handler = std::function<destination(const request& asked)>;

/// Returns a provider that calls these; one that is empty refuses all. Throws std::bad_alloc.
[[nodiscard]] std::shared_ptr<content_provider>
handle_with(read_handler reads, write_handler writes = {});

} // namespace tftp
