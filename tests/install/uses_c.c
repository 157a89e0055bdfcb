/* A consumer of tftp::c: asks a port at which nobody listens, and is told so at once. */
#include <stdio.h>
#include <string.h>
#include <tftp.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Closed again at once: nobody else is given this port so soon. */
    const int port = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(port, (const struct sockaddr*)&address, size) != 0 ||
        getsockname(port, (struct sockaddr*)&address, &size) != 0 || close(port) != 0) {
        perror("port");
        return 1;
    }
    char url[64];
    snprintf(url, sizeof url, "tftp://127.0.0.1:%u/pxelinux.0", ntohs(address.sin_port));

    void* data;
    size_t data_size;
    struct tftp_result result;
    const enum tftp_status status = tftp_get_memory(url, &data, &data_size, NULL, &result);
    printf("libtftp-c %s: %s\n", tftp_version(), result.message);
    tftp_free(data);
    return status == TFTP_NETWORK && result.side == TFTP_SIDE_NETWORK ? 0 : 1;
}
