/*
 * The program: hash the flow, make the hash a number, find the number's index by a binary search. The leaf of a socket that is not
 * alive leads on to a second part: another hash, a number among those that are alive, another search.
 *
 * Neighbours mostly have indexes that are neighbours too. Such a run is one leaf, so the program commonly has some 80 instructions, however
 * many sockets there are. That matters: it is run for each datagram, and net.core.optmem_max may be 20 KB.
 *
 * Jumps only go forward, a conditional one by 255 instructions at most. So the searches are put together from their end, where the
 * distance to every target is known.
 */
#include "net/steering.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
static void put_hash(struct assembler *out, uint32_t seed)
{
    put(out, BPF_LD | BPF_IMM, seed);
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

/* The searches, from their end */

#define NOT_ALIVE  UINT32_MAX
#define SHORT_JUMP 255

/* Numbers from `first` on that have the indexes from `index` on; or none, NOT_ALIVE. */
struct run {
    uint32_t first, length, index;
};

struct search {
    struct sock_filter *program;
    size_t at;    /* where it begins so far */
    size_t least; /* and may begin */
    bool is_full;
};

/* Before what is there already. */
static void prepend(struct search *search, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
    search->is_full = search->is_full || search->at == search->least;
    if (!search->is_full)
        search->program[--search->at] = (struct sock_filter){
            .code = (uint16_t)code, .jt = (uint8_t)yes, .jf = (uint8_t)no, .k = k};
}

/* `second` is where those go on that are not alive. */
static void prepend_leaf(struct search *search, const struct run *run, size_t second)
{
    if (run->index == NOT_ALIVE) {
        prepend(search, BPF_JMP | BPF_JA, (uint32_t)(second - search->at), 0, 0);
    } else if (run->length == 1) {
        prepend(search, BPF_RET | BPF_K, run->index, 0, 0);
    } else {
        prepend(search, BPF_RET | BPF_A, 0, 0, 0);
        if (run->index != run->first)
            prepend(search, BPF_ALU | BPF_ADD | BPF_K, run->index - run->first, 0, 0);
    }
}

/* Its depth is the logarithm of n. */
static void prepend_runs(struct search *search, const struct run *runs, size_t n, size_t second)
{
    if (n == 1) {
        prepend_leaf(search, runs, second);
        return;
    }
    size_t half = n / 2;
    prepend_runs(search, runs + half, n - half, second);
    size_t right = search->at;
    prepend_runs(search, runs, half, second);
    size_t distance = right - search->at;
    bool is_far = distance > SHORT_JUMP;
    if (is_far)
        prepend(search, BPF_JMP | BPF_JA, (uint32_t)distance, 0, 0);
    prepend(search, BPF_JMP | BPF_JGE | BPF_K, runs[half].first, is_far ? 0 : (unsigned)distance,
            is_far);
}

static bool continues(const struct run *run, uint32_t index)
{
    return run->index == NOT_ALIVE ? index == NOT_ALIVE : index == run->index + run->length;
}

/* The hash in A becomes a number below n, and that its index. */
static void prepend_choice(struct search *search, const uint32_t *indexes, size_t n, size_t second)
{
    struct run runs[STEERING_SOCKETS_MAX];
    size_t n_runs = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_runs > 0 && continues(&runs[n_runs - 1], indexes[i]))
            runs[n_runs - 1].length++;
        else
            runs[n_runs++] = (struct run){(uint32_t)i, 1, indexes[i]};
    }
    prepend_runs(search, runs, n_runs, second);
    prepend(search, BPF_ALU | BPF_MOD | BPF_K, (uint32_t)n, 0, 0);
}

/* Another number made of the same hash. */
static void prepend_second_hash(struct search *search)
{
    struct sock_filter block[8];
    struct assembler out = {.program = block};
    put(&out, BPF_LD | BPF_MEM, HASH);
    put(&out, BPF_ALU | BPF_MUL | BPF_K, UINT32_C(0xC2B2AE3D));
    put_fold(&out);
    while (out.n-- > 0)
        prepend(search, block[out.n].code, block[out.n].k, 0, 0);
}

/* Behind the hash. All that are alive may stand in for the others; where that becomes too long, as many as fit. */
static size_t put_choices(struct assembler *out, const uint32_t *indexes, size_t n,
                          const uint32_t *alive, size_t n_alive)
{
    struct search search = {.program = out->program, .is_full = true};
    for (; search.is_full && n_alive > 0; n_alive /= 2) {
        search = (struct search){
            .program = out->program, .at = STEERING_PROGRAM_MAX, .least = out->n};
        prepend_choice(&search, alive, n_alive, STEERING_PROGRAM_MAX);
        prepend_second_hash(&search);
        prepend_choice(&search, indexes, n, search.at);
    }
    size_t length = STEERING_PROGRAM_MAX - search.at;
    memmove(out->program + out->n, out->program + search.at, length * sizeof(*out->program));
    return out->n + length;
}

int steering_build(const struct steering *steering, const bool *alive, struct sock_filter **ret,
                   size_t *ret_n)
{
    uint32_t indexes[STEERING_SOCKETS_MAX], living[STEERING_SOCKETS_MAX];
    size_t n_alive = 0;
    if (steering->n > STEERING_SOCKETS_MAX)
        return -E2BIG;
    struct assembler out = {.program = calloc(STEERING_PROGRAM_MAX, sizeof(struct sock_filter))};
    if (!out.program)
        return -ENOMEM;
    for (size_t i = 0; i < steering->n; i++) {
        indexes[i] = alive[i] ? steering->index[i] : NOT_ALIVE;
        if (alive[i])
            living[n_alive++] = steering->index[i];
    }
    if (steering->is_lost || n_alive == 0) {
        /* An index that is not there means: by the kernel's own hash. */
        put(&out, BPF_RET | BPF_K, UINT32_MAX);
    } else {
        put_hash(&out, steering->seed);
        out.n = put_choices(&out, indexes, steering->n, living, n_alive);
    }
    *ret = out.program;
    *ret_n = out.n;
    return 0;
}
