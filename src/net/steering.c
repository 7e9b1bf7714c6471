#include "net/steering.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SOCKETS_MAX 1000 /* two chains of two instructions for each, and the hash */

void steering_clear(struct steering *steering)
{
    free(steering->index);
    *steering = (struct steering){0};
}

int steering_add(struct steering *steering)
{
    unsigned *larger = reallocarray(steering->index, steering->n + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    steering->index = larger;
    larger[steering->n] = (unsigned)steering->n;
    steering->n++;
    return 0;
}

/* Whoever has the last place moves to this one. */
static void fill_place(struct steering *steering, unsigned place)
{
    for (size_t i = 0; i < steering->n; i++)
        if (steering->index[i] == steering->n - 1)
            steering->index[i] = place;
}

void steering_remove_last(struct steering *steering)
{
    fill_place(steering, steering->index[steering->n - 1]);
    steering->n--;
}

void steering_again(struct steering *steering, size_t number)
{
    fill_place(steering, steering->index[number]);
    steering->index[number] = (unsigned)steering->n - 1;
}

/* The program */

struct assembler {
    struct sock_filter *program;
    size_t n;
};

static void put(struct assembler *out, unsigned code, uint32_t k)
{
    out->program[out->n++] = (struct sock_filter){.code = (uint16_t)code, .k = k};
}

static void put_jump(struct assembler *out, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
    out->program[out->n++] = (struct sock_filter){
        .code = (uint16_t)code, .jt = (uint8_t)yes, .jf = (uint8_t)no, .k = k};
}

#define NETWORK(offset) ((uint32_t)SKF_NET_OFF + (offset))

enum { SUM, HASH }; /* places in the program's memory */

/* A = (A ^ memory[SUM]) * factor; memory[SUM] = A. The product brings each bit of A to the higher ones. */
static void put_mix(struct assembler *out)
{
    put(out, BPF_LDX | BPF_MEM, SUM);
    put(out, BPF_ALU | BPF_XOR | BPF_X, 0);
    put(out, BPF_ALU | BPF_MUL | BPF_K, UINT32_C(0x9E3779B1));
    put(out, BPF_ST, SUM);
}

static void put_load_and_mix(struct assembler *out, unsigned mode, uint32_t offset)
{
    put(out, BPF_LD | BPF_W | mode, offset);
    put_mix(out);
}

/* A ^= A >> 15: the higher bits, which all of the input has reached, come down again. */
static void put_fold(struct assembler *out)
{
    put(out, BPF_ST, SUM);
    put(out, BPF_ALU | BPF_RSH | BPF_K, 15);
    put(out, BPF_LDX | BPF_MEM, SUM);
    put(out, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/* Source and destination, and behind the header, whose length varies, both ports. */
static size_t put_ipv4(struct assembler *out)
{
    size_t begin = out->n;
    put_load_and_mix(out, BPF_ABS, NETWORK(12));
    put_load_and_mix(out, BPF_ABS, NETWORK(16));
    put(out, BPF_LDX | BPF_B | BPF_MSH, NETWORK(0));
    put(out, BPF_LD | BPF_W | BPF_IND, NETWORK(0));
    put_mix(out);
    return out->n - begin;
}

/* Ports behind extension headers are not looked for: then the addresses alone count. */
static void put_ipv6(struct assembler *out)
{
    for (uint32_t offset = 8; offset < 40; offset += 4)
        put_load_and_mix(out, BPF_ABS, NETWORK(offset));
    put(out, BPF_LD | BPF_B | BPF_ABS, NETWORK(6));
    put_jump(out, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 1, 0);
    put_jump(out, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 5);
    put_load_and_mix(out, BPF_ABS, NETWORK(40));
}

/* Leaves the hash of the flow in A and in memory[HASH]. */
static void put_hash(struct assembler *out)
{
    put(out, BPF_LD | BPF_IMM, 0);
    put(out, BPF_ST, SUM);
    put(out, BPF_LD | BPF_B | BPF_ABS, NETWORK(0));
    put(out, BPF_ALU | BPF_RSH | BPF_K, 4);
    size_t test = out->n;
    put_jump(out, BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 0);
    put_ipv6(out);
    size_t jump = out->n;
    put(out, BPF_JMP | BPF_JA, 0);
    out->program[test].jf = (uint8_t)(out->n - test - 1);
    out->program[jump].k = (uint32_t)put_ipv4(out);
    put(out, BPF_LD | BPF_MEM, SUM);
    put_fold(out);
    put(out, BPF_ALU | BPF_MUL | BPF_K, UINT32_C(0x85EBCA77));
    put_fold(out);
    put(out, BPF_ST, HASH);
}

/* Returns `index` if A is `number`. */
static void put_choice(struct assembler *out, size_t number, unsigned index)
{
    put_jump(out, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1);
    put(out, BPF_RET | BPF_K, index);
}

/* All sockets have an equal share; those that are not alive fall through. */
static void put_first_choice(struct assembler *out, const struct steering *steering,
                             const bool *alive)
{
    put(out, BPF_ALU | BPF_MOD | BPF_K, (uint32_t)steering->n);
    for (size_t i = 0; i < steering->n; i++)
        if (alive[i])
            put_choice(out, i, steering->index[i]);
}

/* Another number made of the same hash, for one of those that are alive. */
static void put_second_choice(struct assembler *out, const struct steering *steering,
                              const bool *alive, size_t n_alive)
{
    size_t number = 0;
    put(out, BPF_LD | BPF_MEM, HASH);
    put(out, BPF_ALU | BPF_MUL | BPF_K, UINT32_C(0xC2B2AE3D));
    put_fold(out);
    put(out, BPF_ALU | BPF_MOD | BPF_K, (uint32_t)n_alive);
    for (size_t i = 0; i < steering->n; i++)
        if (alive[i])
            put_choice(out, number++, steering->index[i]);
    /* Never reached; the kernel wants an end. An index that is not there means: by its own hash. */
    put(out, BPF_RET | BPF_K, UINT32_MAX);
}

int steering_build(const struct steering *steering, const bool *alive, struct sock_filter **ret,
                   size_t *ret_n)
{
    size_t n_alive = 0;
    for (size_t i = 0; i < steering->n; i++)
        n_alive += alive[i];
    if (steering->n > SOCKETS_MAX)
        return -E2BIG;
    struct assembler out = {.program = calloc(STEERING_PROGRAM_MAX, sizeof(struct sock_filter))};
    if (!out.program)
        return -ENOMEM;
    put_hash(&out);
    put_first_choice(&out, steering, alive);
    put_second_choice(&out, steering, alive, n_alive);
    *ret = out.program;
    *ret_n = out.n;
    return 0;
}

int steering_attach(int fd, struct sock_filter *program, size_t n)
{
    const struct sock_fprog attached = {.len = (unsigned short)n, .filter = program};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof(attached)) < 0)
        return -errno;
    return 0;
}

int steering_found_group(int fd)
{
    struct sock_filter itself = {.code = BPF_RET | BPF_K, .k = 0};
    int on = 1, off = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    int r = steering_attach(fd, &itself, 1);
    if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off)) < 0)
        r = -errno;
    return r;
}
