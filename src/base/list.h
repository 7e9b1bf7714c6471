/*
 * list.h - intrusive, circular, doubly linked lists. An element knows no list length; owners count.
 *
 *   struct list workers;  list_init(&workers);  list_append(&workers, &worker->in_slot);
 *   LIST_FOREACH(w, &workers, struct worker, in_slot) …         (w must not be removed meanwhile)
 *   LIST_FOREACH_SAFE(w, &workers, struct worker, in_slot) …    (w itself may be removed and freed)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *previous;
};

#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

/* Removing leaves the link empty, so that removing it again does nothing. */
static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/* Appends all that are in `from`, in their order; that is empty then. */
static inline void list_move_all(struct list *from, struct list *to)
{
    if (list_is_empty(from))
        return;
    from->next->previous = to->previous;
    from->previous->next = to;
    to->previous->next = from->next;
    to->previous = from->previous;
    list_init(from);
}

#define LIST_FOREACH(iterator, list, type, member)                                                 \
    for (type *iterator = LIST_ENTRY((list)->next, type, member); &iterator->member != (list);     \
         iterator = LIST_ENTRY(iterator->member.next, type, member))

#define LIST_FOREACH_SAFE(iterator, list, type, member)                                            \
    for (type *iterator = LIST_ENTRY((list)->next, type, member),                                  \
              *iterator##_next = LIST_ENTRY(iterator->member.next, type, member);                  \
         &iterator->member != (list); iterator = iterator##_next,                                  \
              iterator##_next = LIST_ENTRY(iterator->member.next, type, member))
