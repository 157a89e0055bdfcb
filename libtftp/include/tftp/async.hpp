#pragma once

/// The asynchronous client, for programs with Boost.Asio. Links `tftp::net`.

#include <tftp/client.hpp>
#include <tftp/client/async/async_client.hpp>
