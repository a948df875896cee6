/* A simple tunnel end in C, for comparison: TUN device <-> raw socket, IPv6 in IPv6, one packet per call.
 *
 *     simple_loop TUN LOCAL PEER
 *
 * No look-up, no checks, no offload: what is read on one side is written on the other.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char buffer[65536];
    struct sockaddr_in6 local = {.sin6_family = AF_INET6}, peer = {.sin6_family = AF_INET6};
    struct ifreq request;
    int size = 8 << 20;

    if (argc != 4 || inet_pton(AF_INET6, argv[2], &local.sin6_addr) != 1 ||
        inet_pton(AF_INET6, argv[3], &peer.sin6_addr) != 1)
        return 2;
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    strncpy(request.ifr_name, argv[1], IFNAMSIZ - 1);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) {
        perror(argv[1]);
        return 1;
    }
    int raw = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, 41);
    if (raw < 0 || bind(raw, (struct sockaddr *)&local, sizeof local) < 0) {
        perror(argv[2]);
        return 1;
    }
    setsockopt(raw, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(raw, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    puts("ready");
    fflush(stdout);
    struct pollfd waiting[3] = {{tun, POLLIN, 0}, {raw, POLLIN, 0}, {0, POLLIN, 0}};
    while (poll(waiting, 3, -1) > 0) {
        if (waiting[2].revents)
            return 0; /* standard input ended */
        for (int i = 0; i < 64; i++) {
            ssize_t got = read(tun, buffer, sizeof buffer);
            if (got <= 0)
                break;
            if (sendto(raw, buffer, got, 0, (struct sockaddr *)&peer, sizeof peer) < 0)
                continue; /* a full queue drops */
        }
        for (int i = 0; i < 64; i++) {
            ssize_t got = recv(raw, buffer, sizeof buffer, 0);
            if (got <= 0)
                break;
            if (write(tun, buffer, got) < 0)
                continue;
        }
    }
    return 0;
}
