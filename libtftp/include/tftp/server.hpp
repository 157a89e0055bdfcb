#pragma once

/// All that a program needs to be a TFTP server, with threads of its own (`server`) or in an event
/// loop of Asio (`async_server`). Links `tftp::net`.

#include <tftp/content/content.hpp>
#include <tftp/content/handlers.hpp>
#include <tftp/file/directory_provider.hpp>
#include <tftp/file/file.hpp>
#include <tftp/server/async/async_server.hpp>
#include <tftp/server/async/server.hpp>
#include <tftp/socket/socket_address.hpp>
