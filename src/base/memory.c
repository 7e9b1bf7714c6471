#include "base/memory.h"

#include "base/macros.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that are not writable were never written either: nothing in them is ours alone, so dropping them loses nothing. */
static void drop_segment(uintptr_t begin, uintptr_t end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    begin &= ~(page - 1);
    end = (end + page - 1) & ~(page - 1);
    (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* The exception: code that the loader had to write addresses into. */
static bool has_written_code(const struct dl_phdr_info *object)
{
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++)
            if (entry->d_tag == DT_TEXTREL ||
                (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL)))
                return true;
    }
    return false;
}

static int drop_object(struct dl_phdr_info *object, size_t size UNUSED, void *userdata UNUSED)
{
    if (has_written_code(object))
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
            drop_segment(object->dlpi_addr + segment->p_vaddr,
                         object->dlpi_addr + segment->p_vaddr + segment->p_memsz);
    }
    return 0;
}

void memory_give_back(void)
{
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(drop_object, NULL);
}
