// A consumer of tftp::io: asks a port at which nobody listens, and is told so at once.
#include <tftp/client.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <cstdio>
#include <string>

#ifdef BOOST_ASIO_VERSION
#error "the blocking client needs no Asio"
#endif

int main() {
    std::string url;
    {
        // Closed again at once: nobody else is given this port so soon.
        const auto port = tftp::udp_socket::open(tftp::endpoint::ipv4(127, 0, 0, 1, 0), {});
        if (!port) {
            std::puts(port.error().message().c_str());
            return 1;
        }
        url = "tftp://" + (*port)->local_endpoint().to_string() + "/pxelinux.0";
    }
    try {
        std::puts(tftp::get(url).text().c_str());
    } catch (const tftp::error& failed) {
        std::puts(failed.what());
        return failed.code() == boost::system::errc::connection_refused &&
                       failed.side() == tftp::failing_side::network
                   ? 0
                   : 1;
    }
    return 1;
}
