// hload: a small epoll HTTP/1.1 load generator. One thread, loopback, keep-alive, one request at a time on each connection.
//
//   hload port=N file=REQUESTS [conns=50] [rate=0] [warm=2] [dur=5]
//
// REQUESTS holds whole requests, each after its length as four bytes (little endian); they are sent in turn.
// rate=0: every connection asks again as soon as it is answered. rate=N: N requests a second are due at even times,
// whatever the answers do; one that finds no free connection waits for one.
// p50us and p99us count from when a request was sent, due_p99us from when it was due; of those answered with 2xx.
// One JSON line on stdout; `begin` and `end` on stderr around what is measured; `cpu` is its own share of a core there.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { longest_answer = 65536, bucket_us = 10, buckets = 2000000 };
enum { accepted, limited, unavailable, other, classes };

typedef struct {
  int fd, is_open, is_busy;
  uint64_t due, sent;
  const char *out;
  uint32_t left, got;
  char in[longest_answer];
} Conn;
typedef struct { uint64_t count, *times; } Times;

static int port, conns = 50, rate, warm = 2, dur = 5;
static const char *file;
static char *requests;
static uint32_t *offsets, *lengths, request_count, next_request;
static int poll_fd, is_measuring;
static Conn **idle;
static int idle_count;
static uint64_t *waiting, wait_head, wait_tail, wait_size;
static Times took[classes], from_due;
static uint64_t without_retry, broken, reconnects;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t used(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000ull + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000ull;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void note(Times *t, uint64_t since) {
  uint64_t bucket = (now() - since) / 1000 / bucket_us;
  t->count++;
  t->times[bucket < buckets ? bucket : buckets - 1]++;
}

static double quantile(Times *t, double q) {
  uint64_t wanted = t->count * q, seen = 0;
  for (int i = 0; t->count && i < buckets; i++)
    if ((seen += t->times[i]) > wanted) return (double)i * bucket_us;
  return 0;
}

static void load(void) {
  FILE *f = fopen(file, "rb");
  if (!f) die(file);
  fseek(f, 0, SEEK_END);
  long size = ftell(f);
  rewind(f);
  requests = malloc(size);
  if (fread(requests, 1, size, f) != (size_t)size) die(file);
  fclose(f);
  offsets = malloc(size);
  lengths = malloc(size);
  for (long at = 0; at + 4 < size; at += 4 + lengths[request_count++]) {
    memcpy(&lengths[request_count], requests + at, 4);
    offsets[request_count] = at + 4;
  }
  if (!request_count) {
    fprintf(stderr, "no requests in %s\n", file);
    exit(1);
  }
}

static void dial(Conn *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0) die("socket");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(c->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &e);
  c->is_open = c->got = 0;
}

static void redial(Conn *c) {
  close(c->fd);
  reconnects++;
  dial(c);
}

static void flush(Conn *c) {
  while (c->left) {
    ssize_t n = write(c->fd, c->out, c->left);
    if (n <= 0) return;
    c->out += n;
    c->left -= n;
  }
}

static void ask(Conn *c, uint64_t due) {
  c->is_busy = 1;
  c->due = due;
  c->sent = now();
  c->out = requests + offsets[next_request];
  c->left = lengths[next_request];
  next_request = (next_request + 1) % request_count;
  if (c->is_open) flush(c);
}

static void rest(Conn *c) {
  c->is_busy = 0;
  if (!rate) ask(c, now());
  else if (wait_head != wait_tail) ask(c, waiting[wait_head++ % wait_size]);
  else idle[idle_count++] = c;
}

typedef struct { uint32_t size; int status, closes, has_retry; } Answer;

/* The answer at the beginning of what was received; size 0 while it is not complete. */
static Answer answer_of(Conn *c) {
  Answer a = {0};
  char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
  if (!end) return a;
  uint32_t head = end + 4 - c->in, body = 0;
  *end = 0;
  a.status = atoi(c->in + 9);
  for (char *line = strstr(c->in, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
    if (!strncasecmp(line + 2, "content-length:", 15)) body = atoi(line + 17);
    if (!strncasecmp(line + 2, "connection: close", 17)) a.closes = 1;
    if (!strncasecmp(line + 2, "retry-after:", 12)) a.has_retry = 1;
  }
  *end = '\r';
  if (c->got >= head + body) a.size = head + body;
  return a;
}

static void count(Conn *c, Answer a) {
  if (!is_measuring) return;
  int class = a.status >= 200 && a.status < 300 ? accepted : a.status == 429 ? limited : a.status == 503 ? unavailable : other;
  note(&took[class], c->sent);
  if (class == accepted) note(&from_due, c->due);
  if ((class == limited || class == unavailable) && !a.has_retry) without_retry++;
}

static void receive(Conn *c) {
  for (;;) {
    ssize_t n = read(c->fd, c->in + c->got, longest_answer - c->got);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      broken += c->is_busy && is_measuring;
      int was_busy = c->is_busy;
      uint64_t due = c->due;
      redial(c);
      if (was_busy) ask(c, due);
      return;
    }
    c->got += n;
    for (Answer a; (a = answer_of(c)).size;) {
      memmove(c->in, c->in + a.size, c->got -= a.size);
      count(c, a);
      if (a.closes) redial(c);
      rest(c);
      if (a.closes) return;
    }
  }
}

static void turn(int millis) {
  struct epoll_event e[512];
  int n = epoll_wait(poll_fd, e, 512, millis);
  for (int i = 0; i < n; i++) {
    Conn *c = e[i].data.ptr;
    if (e[i].events & EPOLLOUT) {
      // What waits for its connection is sent with it.
      if (!c->is_open) c->sent = now();
      c->is_open = 1;
      flush(c);
    }
    if (e[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
  }
}

int main(int argc, char **words) {
  signal(SIGPIPE, SIG_IGN);
  for (int i = 1; i < argc; i++) {
    char *value = strchr(words[i], '=');
    if (!value) continue;
    *value++ = 0;
#define NUMBER(name) if (!strcmp(words[i], #name)) name = atoi(value);
    NUMBER(port) NUMBER(conns) NUMBER(rate) NUMBER(warm) NUMBER(dur)
    if (!strcmp(words[i], "file")) file = value;
  }
  struct rlimit l;
  getrlimit(RLIMIT_NOFILE, &l);
  l.rlim_cur = l.rlim_max;
  setrlimit(RLIMIT_NOFILE, &l);
  for (int i = 0; i < classes; i++) took[i].times = calloc(buckets, sizeof(uint64_t));
  from_due.times = calloc(buckets, sizeof(uint64_t));
  load();
  poll_fd = epoll_create1(0);
  Conn *all = calloc(conns, sizeof *all);
  idle = calloc(conns, sizeof *idle);
  wait_size = (uint64_t)(rate ? rate : 1) * (warm + dur + 2);
  waiting = calloc(wait_size, sizeof *waiting);
  for (int i = 0; i < conns; i++) {
    dial(&all[i]);
    rest(&all[i]);
  }
  uint64_t start = now(), from = start + warm * 1000000000ull, until = from + dur * 1000000000ull;
  uint64_t due = start, cpu = 0, offered = 0;
  for (uint64_t t; (t = now()) < until;) {
    if (!is_measuring && t >= from) {
      is_measuring = 1;
      cpu = used();
      fprintf(stderr, "begin\n");
    }
    for (; rate && due <= t; due += 1000000000ull / rate) {
      offered += is_measuring;
      if (idle_count) ask(idle[--idle_count], due);
      else waiting[wait_tail++ % wait_size] = due;
    }
    // Nothing can be sent before an answer comes, or before the next one is due.
    turn(rate && idle_count && due < now() + 1000000 ? 0 : 1);
  }
  double seconds = (now() - from) / 1e9, share = (used() - cpu) / 1e9 / seconds;
  is_measuring = 0;
  fprintf(stderr, "end\n");
  printf("{\"accepted\":%lu,\"limited\":%lu,\"unavailable\":%lu,\"other\":%lu,", took[accepted].count, took[limited].count,
         took[unavailable].count, took[other].count);
  printf("\"without_retry_after\":%lu,\"broken\":%lu,\"reconnects\":%lu,\"offered\":%lu,\"waiting\":%lu,", without_retry,
         broken, reconnects, offered, wait_tail - wait_head);
  printf("\"p50us\":%.0f,\"p99us\":%.0f,\"due_p99us\":%.0f,\"refused_p99us\":%.0f,", quantile(&took[accepted], .5),
         quantile(&took[accepted], .99), quantile(&from_due, .99), quantile(&took[unavailable], .99));
  printf("\"cpu\":%.3f,\"secs\":%.3f}\n", share, seconds);
  return 0;
}
