/* intent.c - shutdown beats reload, forced beats graceful, a newer reload beats an older one. */
#include "master/intent.h"

static bool is_shutting_down(struct intent intent)
{
    return intent.type == INTENT_SHUTDOWN || intent.type == INTENT_FORCED;
}

struct intent intent_next(struct intent intent, enum intent_event event)
{
    switch (event) {
    case INTENT_EVENT_RELOAD:
        intent.reload_wanted = !is_shutting_down(intent);
        break;
    case INTENT_EVENT_RELOAD_BEGAN:
        if (!is_shutting_down(intent))
            intent = (struct intent){.type = INTENT_RELOAD};
        break;
    case INTENT_EVENT_RELOAD_ENDED:
        if (!is_shutting_down(intent))
            intent.type = INTENT_RUN;
        break;
    case INTENT_EVENT_SHUTDOWN:
        intent = (struct intent){.type = is_shutting_down(intent) ? INTENT_FORCED
                                                                  : INTENT_SHUTDOWN};
        break;
    case INTENT_EVENT_FORCE:
        intent = (struct intent){.type = INTENT_FORCED};
        break;
    }
    return intent;
}
