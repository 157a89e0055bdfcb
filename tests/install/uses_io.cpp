// A consumer of tftp::io: asks a port at which nobody listens, and is told so at once.
#include <tftp/client/blocking.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <cstdio>

int main() {
    tftp::client_request asked;
    {
        // Closed again at once: nobody else is given this port so soon.
        const auto port = tftp::udp_socket::open(tftp::endpoint::ipv4(127, 0, 0, 1, 0), {});
        if (!port) {
            std::puts(port.error().message().c_str());
            return 1;
        }
        asked.server = (*port)->local_endpoint();
    }
    asked.filename = "pxelinux.0";
    tftp::memory_sink content(512);
    tftp::error_code error;
    static_cast<void>(tftp::get(asked, content, error));
    std::puts(error.message().c_str());
    return error == boost::system::errc::connection_refused ? 0 : 1;
}
