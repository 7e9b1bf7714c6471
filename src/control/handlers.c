#include "control/handlers.h"

#include "control/methods.h"

static const struct handler handlers[] = {
    [METHOD_NONE] = {NULL},
    [METHOD_GET_INFO] = {methods_handle_get_info},
    [METHOD_GET_INTERFACE_DESCRIPTION] = {methods_handle_get_interface_description},
    [METHOD_STATUS] = {methods_handle_status},
    [METHOD_RELOAD] = {methods_handle_reload},
    [METHOD_UNDO] = {methods_handle_undo},
    [METHOD_START] = {methods_handle_start},
    [METHOD_STOP] = {methods_handle_stop},
    [METHOD_RESTART] = {methods_handle_restart},
    [METHOD_SCALE] = {methods_handle_scale},
    [METHOD_HISTORY] = {methods_handle_history},
    [METHOD_LOGS] = {methods_handle_logs},
    [METHOD_WHY] = {methods_handle_why},
    [METHOD_ATTACH] = {methods_handle_attach},
    [METHOD_CHECK_CONFIG] = {methods_handle_check_config},
    [METHOD_SIGNAL] = {methods_handle_signal},
    [METHOD_SOCKETS] = {methods_handle_sockets},
    [METHOD_SUBSCRIBE] = {methods_handle_subscribe},
    [METHOD_SEND] = {methods_handle_send},
    [METHOD_SHUTDOWN] = {methods_handle_shutdown},
    [METHOD_CONNECT] = {methods_handle_connect},
    [METHOD_VERSION] = {methods_handle_version},
};

const struct handler *handler_of(unsigned method)
{
    return method < ARRAY_SIZE(handlers) && handlers[method].handle ? &handlers[method] : NULL;
}
