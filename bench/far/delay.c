// Joins two network namespaces by a path with a delay: each has a TUN device, and every IP packet that leaves one arrives at the
// other so many microseconds later, in order. Handshakes are delayed, too, which a proxy that delays bytes would not do.
// Usage: delay NAMESPACE DEVICE NAMESPACE DEVICE MICROSECONDS. Ends when it is killed. Needs root.

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { queue_length = 65536, packet_bytes = 65536 };

struct packet {
  uint64_t due;
  int to;
  int length;
  unsigned char *bytes;
};

static struct packet queue[queue_length];
static unsigned first, behind;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000ull + time.tv_nsec / 1000;
}

/* Opens the TUN device of this name inside a namespace; this process stays there. */
static int open_device(const char *namespace, const char *device) {
  char path[128];
  snprintf(path, sizeof path, "/var/run/netns/%s", namespace);
  int file = open(path, O_RDONLY);
  if (file < 0 || setns(file, CLONE_NEWNET) < 0) fail(path);
  close(file);
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) fail(device);
  return tun;
}

/* Takes what has left one side; a full queue drops it, as a router would. */
static void take(int from, int to, uint64_t delay) {
  static unsigned char bytes[packet_bytes];
  for (int count = 0; count < 64 && behind - first < queue_length; count++) {
    int length = read(from, bytes, sizeof bytes);
    if (length <= 0) return;
    unsigned char *copy = malloc(length);
    if (copy == NULL) fail("malloc");
    memcpy(copy, bytes, length);
    queue[behind++ % queue_length] = (struct packet){now() + delay, to, length, copy};
  }
}

int main(int count, char **arguments) {
  if (count != 6) {
    fprintf(stderr, "usage: delay NAMESPACE DEVICE NAMESPACE DEVICE MICROSECONDS\n");
    return 2;
  }
  int one = open_device(arguments[1], arguments[2]);
  int other = open_device(arguments[3], arguments[4]);
  uint64_t delay = strtoull(arguments[5], NULL, 10);
  struct pollfd sides[2] = {{one, POLLIN, 0}, {other, POLLIN, 0}};
  for (;;) {
    struct timespec wait, *until = NULL;
    if (first != behind) {
      uint64_t due = queue[first % queue_length].due, time = now();
      uint64_t rest = due > time ? due - time : 0;
      wait = (struct timespec){rest / 1000000, rest % 1000000 * 1000};
      until = &wait;
    }
    ppoll(sides, 2, until, NULL);
    take(one, other, delay);
    take(other, one, delay);
    for (; first != behind && queue[first % queue_length].due <= now(); first++) {
      struct packet *packet = &queue[first % queue_length];
      if (write(packet->to, packet->bytes, packet->length) < 0) {
        /* The device's queue is full: lost, as on any path. */
      }
      free(packet->bytes);
    }
  }
}
