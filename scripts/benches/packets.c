/* Small packets by the second.
 *
 *     packets send ADDRESS PORT SECONDS SIZE     UDP datagrams of SIZE octets as fast as they go
 *     packets count ADDRESS PORT SECONDS         prints how many came, and over how many seconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char data[BATCH][2048];
    struct mmsghdr messages[BATCH];
    struct iovec pieces[BATCH];
    struct sockaddr_in6 where = {.sin6_family = AF_INET6};
    int size = 16 << 20;

    if (argc < 5 || inet_pton(AF_INET6, argv[2], &where.sin6_addr) != 1)
        return 2;
    int sending = !strcmp(argv[1], "send");
    where.sin6_port = htons(atoi(argv[3]));
    double length = atof(argv[4]);
    int socket_ = socket(AF_INET6, SOCK_DGRAM, 0);
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        pieces[i].iov_base = data[i];
        pieces[i].iov_len = sending ? atoi(argv[5]) : sizeof data[i];
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    if (sending) {
        if (connect(socket_, (struct sockaddr *)&where, sizeof where) < 0) {
            perror("connect");
            return 1;
        }
        for (double end = seconds() + length; seconds() < end;)
            sendmmsg(socket_, messages, BATCH, 0);
        return 0;
    }
    struct timeval patience = {0, 200000};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(socket_, (struct sockaddr *)&where, sizeof where) < 0) {
        perror("bind");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    long count = 0;
    double first = 0, last = 0;
    for (double end = seconds() + length; seconds() < end;) {
        int got = recvmmsg(socket_, messages, BATCH, MSG_WAITFORONE, NULL);
        if (got <= 0)
            continue;
        last = seconds();
        if (!count)
            first = last;
        count += got;
    }
    printf("%ld %.6f\n", count, last - first);
    return 0;
}
