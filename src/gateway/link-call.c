/* link-call.c - calls and the lists that they wait in. */
#include "gateway/link-internal.h"

struct link_call *link_call_new(link_handler handler, void *userdata)
{
    struct link_call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    *call = (struct link_call){.handler = handler, .userdata = userdata};
    list_init(&call->in_list);
    return call;
}

struct link_call *link_call_free(struct link_call *call)
{
    if (!call)
        return NULL;
    link_call_remove(call);
    json_decref(call->parameters);
    free(call->error);
    free(call->text);
    free(call);
    return NULL;
}

void link_call_append(struct call_list *list, struct link_call *call)
{
    list_append(&list->calls, &call->in_list);
    call->list = list;
    list->n++;
}

void link_call_remove(struct link_call *call)
{
    if (!call->list)
        return;
    list_remove(&call->in_list);
    call->list->n--;
    call->list = NULL;
}

struct link_call *link_call_first(const struct call_list *list)
{
    return list->n > 0 ? LIST_ENTRY(list->calls.next, struct link_call, in_list) : NULL;
}

struct link_call *link_call_pop(struct call_list *list)
{
    struct link_call *call = link_call_first(list);
    if (call)
        link_call_remove(call);
    return call;
}

void link_call_list_clear(struct call_list *list)
{
    struct link_call *call;
    while ((call = link_call_pop(list)))
        (void)link_call_free(call);
}
