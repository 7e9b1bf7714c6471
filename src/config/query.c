/* Questions to a loaded configuration. */
#include "config/config.h"

#include "base/strv.h"

#include <string.h>

unsigned config_amount(struct config_amount amount, unsigned workers)
{
    if (!amount.percent || amount.value == 0)
        return amount.value;
    return MAX(workers * amount.value / 100, 1u);
}

bool config_program_ready_first(const struct config_program *program)
{
    bool ready_first = program->reload.order == CONFIG_ORDER_READY_FIRST;
    for (size_t i = 0; i < program->n_sockets; i++)
        ready_first = ready_first || program->sockets[i]->sharing == CONFIG_PER_WORKER;
    return ready_first;
}

bool config_program_inherits(const struct config_program *program)
{
    return (program->handoff & CONFIG_HANDOFF_ENV) ||
           !(program->handoff & CONFIG_HANDOFF_SCM_RIGHTS);
}

bool config_expects_exit(const struct config_program *program, int code)
{
    return code >= 0 && code < 256 &&
           (program->expected_exit_codes[code / 64] & UINT64_C(1) << code % 64);
}

const char *config_group_name(const struct config_program *program)
{
    return program->groups ? program->groups[0] : program->name;
}

bool config_program_is_in(const struct config_program *program, const char *group)
{
    return strv_contains(program->groups, group);
}

const struct config_program *config_find_program(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_programs; i++)
        if (strcmp(config->programs[i]->name, name) == 0)
            return config->programs[i];
    return NULL;
}

const struct config_program *config_find_user(const struct config *config,
                                              const struct config_socket *socket)
{
    for (size_t i = 0; i < config->n_programs; i++)
        for (size_t j = 0; j < config->programs[i]->n_sockets; j++)
            if (config->programs[i]->sockets[j] == socket)
                return config->programs[i];
    return NULL;
}

bool config_socket_nonblocking(const struct config *config, const struct config_socket *socket)
{
    switch (socket->nonblocking) {
    case CONFIG_NONBLOCKING_TRUE:
        return true;
    case CONFIG_NONBLOCKING_FALSE:
        return false;
    case CONFIG_NONBLOCKING_AUTO:
        break;
    }
    const struct config_program *user = config_find_user(config, socket);
    return user && user->handoff & CONFIG_HANDOFF_NODE_IPC;
}
