#pragma once

/// All that a program needs to read from and write to TFTP servers: blocking `get` and `put`, what
/// they send and where they store. No Asio: that is `tftp/async.hpp`.

#include <tftp/client/blocking.hpp>
#include <tftp/client/client_request.hpp>
#include <tftp/client/error.hpp>
#include <tftp/client/resolver.hpp>
#include <tftp/content/content.hpp>
#include <tftp/file/file.hpp>
#include <tftp/socket/socket_address.hpp>
