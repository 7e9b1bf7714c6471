#include "program/seen.h"

#define SIZE_FIRST 8

/* FNV-1a */
#define HASH_BASIS UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static uint64_t hash(const void *data, size_t n)
{
    uint64_t value = HASH_BASIS;
    for (const unsigned char *byte = data; n > 0; n--, byte++)
        value = (value ^ *byte) * HASH_PRIME;
    return value != 0 ? value : 1;
}

static uint64_t hash_name(const char *name)
{
    return hash(name, __builtin_strlen(name));
}

uint64_t seen_state(const struct stat *st)
{
    const uint64_t facts[] = {
        (uint64_t)st->st_dev,
        (uint64_t)st->st_ino,
        (uint64_t)st->st_mtim.tv_sec,
        (uint64_t)st->st_mtim.tv_nsec,
        (uint64_t)st->st_size,
        st->st_mode,
        st->st_uid,
        st->st_gid,
    };
    return hash(facts, sizeof(facts));
}

/* Where the name is, or would be; the table has a free place. */
static size_t place_of(const struct seen *seen, uint64_t name)
{
    size_t i = name & (seen->size - 1);
    while (seen->entries[i].name != 0 && seen->entries[i].name != name)
        i = (i + 1) & (seen->size - 1);
    return i;
}

struct seen_entry *seen_find(const struct seen *seen, const char *name)
{
    if (seen->used == 0)
        return NULL;
    struct seen_entry *entry = &seen->entries[place_of(seen, hash_name(name))];
    return entry->name != 0 ? entry : NULL;
}

static bool grow(struct seen *seen)
{
    struct seen larger = {.size = seen->size > 0 ? 2 * seen->size : SIZE_FIRST, .used = seen->used};
    larger.entries = calloc(larger.size, sizeof(*larger.entries));
    if (!larger.entries)
        return false;
    for (size_t i = 0; i < seen->size; i++)
        if (seen->entries[i].name != 0)
            larger.entries[place_of(&larger, seen->entries[i].name)] = seen->entries[i];
    free(seen->entries);
    *seen = larger;
    return true;
}

struct seen_entry *seen_get(struct seen *seen, const char *name)
{
    struct seen_entry *entry = seen_find(seen, name);
    if (entry)
        return entry;
    /* At most three quarters full. */
    if (4 * (seen->used + 1) > 3 * seen->size && !grow(seen))
        return NULL;
    uint64_t value = hash_name(name);
    entry = &seen->entries[place_of(seen, value)];
    *entry = (struct seen_entry){.name = value};
    seen->used++;
    return entry;
}

/* Those behind it move up to where a search for them would begin, so that no hole hides them. */
void seen_remove(struct seen *seen, struct seen_entry *entry)
{
    size_t mask = seen->size - 1, hole = (size_t)(entry - seen->entries);
    for (size_t i = (hole + 1) & mask; seen->entries[i].name != 0; i = (i + 1) & mask) {
        size_t wanted = seen->entries[i].name & mask;
        if (((i - wanted) & mask) < ((i - hole) & mask))
            continue;
        seen->entries[hole] = seen->entries[i];
        hole = i;
    }
    seen->entries[hole] = (struct seen_entry){0};
    seen->used--;
}

void seen_clear(struct seen *seen)
{
    free(seen->entries);
    *seen = (struct seen){0};
}
