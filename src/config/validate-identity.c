/* As whom processes run, and what programs have from the top of the file. */
#include "config/validate.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/accounts.h"
#include "config/expand.h"
#include "config/section.h"
#include "config/values.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* An account, and the mapping where its keys are. */
struct seeker {
    struct reader *reader;
    const struct tree_node *keys;
    struct config_account *account;
    bool is_master;                /* it has no keys but `user` */
    const struct names_user *user; /* NULL: a number that nobody has, or needs */
};

/* Runs `statement` where errors are those of the key. */
#define ABOUT_KEY(seeker, key_, statement)                                                         \
    ({                                                                                             \
        const struct tree_node *_node = tree_get((seeker)->keys, key_);                            \
        const struct scope *_up = (seeker)->reader->scope;                                         \
        struct scope _scope = {                                                                    \
            .up = _up, .name = key_, .place = _node ? &_node->place : _up->place};                 \
        (seeker)->reader->scope = &_scope;                                                         \
        statement;                                                                                 \
        (seeker)->reader->scope = _up;                                                             \
    })

static bool add_group(struct seeker *seeker, gid_t gid)
{
    struct config_account *account = seeker->account;
    for (size_t i = 0; i < account->n_groups; i++)
        if (account->groups[i] == gid)
            return true;
    gid_t *larger = reallocarray(account->groups, account->n_groups + 1, sizeof(*larger));
    if (!larger) {
        seeker->reader->errors->no_memory = true;
        return false;
    }
    account->groups = larger;
    larger[account->n_groups++] = gid;
    return true;
}

/*
 * A number needs nobody who knows it, if the group is given too: then it is only looked for in the files, as there are machines
 * (containers) where no other answer will ever come.
 */
static int find_user(struct seeker *seeker, struct config_id *ret)
{
    const char *text = seeker->account->user_text;
    uint64_t number;
    if (!accounts_is_number(text)) {
        int r = names_find_user(seeker->reader->names, text, &seeker->user);
        if (r == 0)
            *ret = (struct config_id){.set = true, .id = seeker->user->uid};
        return r;
    }
    int r = parse_unsigned(text, 0, UINT32_MAX - 1, &number);
    if (r < 0)
        return r;
    *ret = (struct config_id){.set = true, .id = (id_t)number};
    r = seeker->account->group_text
            ? names_find_local_user(seeker->reader->names, text, &seeker->user)
            : names_find_user(seeker->reader->names, text, &seeker->user);
    return r == -ENOENT ? 0 : r;
}

static int take_user(struct seeker *seeker)
{
    struct config_account *account = seeker->account;
    const struct names_user *user = seeker->user;
    if (!user)
        return 0;
    account->name = user->name ? strdup(user->name) : NULL;
    account->home = user->home ? strdup(user->home) : NULL;
    account->shell = user->shell ? strdup(user->shell) : NULL;
    return (user->name && !account->name) || (user->home && !account->home) ||
                   (user->shell && !account->shell)
               ? -ENOMEM
               : 0;
}

static void resolve_user(struct seeker *seeker)
{
    struct config_account *account = seeker->account;
    struct reader *reader = seeker->reader;
    int r = find_user(seeker, &account->user);
    if (r == 0)
        r = take_user(seeker);
    if (r < 0)
        value_account_failure(reader, NULL, account->user_text, false, r);
    else if (!seeker->user && !account->group_text)
        reader_error(reader, NULL, "nobody knows user %s, so his group is not known either: %s",
                     account->user_text,
                     seeker->is_master ? "name one that /etc/passwd has" : "write it as 'group'");
}

static void resolve_group(struct seeker *seeker)
{
    struct config_account *account = seeker->account;
    gid_t gid;
    int r = value_find_group(seeker->reader, account->group_text, &gid);
    if (r < 0)
        value_account_failure(seeker->reader, NULL, account->group_text, true, r);
    else
        account->group = (struct config_id){.set = true, .id = gid};
}

static void resolve_groups(struct seeker *seeker)
{
    STRV_FOREACH (text, seeker->account->groups_text) {
        gid_t gid;
        int r = value_find_group(seeker->reader, *text, &gid);
        if (r < 0)
            value_account_failure(seeker->reader, NULL, *text, true, r);
        else if (!add_group(seeker, gid))
            return;
    }
}

static void resolve(struct seeker *seeker)
{
    struct config_account *account = seeker->account;
    if (account->user_text)
        ABOUT_KEY(seeker, "user", resolve_user(seeker));
    if (account->group_text)
        ABOUT_KEY(seeker, "group", resolve_group(seeker));
    else if (seeker->user)
        account->group = (struct config_id){.set = true, .id = seeker->user->gid};
    account->groups_set = account->user_text || account->group_text || account->groups_text;
    if (account->group.set)
        (void)add_group(seeker, account->group.id);
    for (size_t i = 0; seeker->user && i < seeker->user->n_groups; i++)
        (void)add_group(seeker, seeker->user->groups[i]);
    ABOUT_KEY(seeker, "supplementary_groups", resolve_groups(seeker));
}

/* What programs have from the top of the file */

static bool has_variable(char *const *environment, const char *variable)
{
    size_t length = strcspn(variable, "=") + 1;
    STRV_FOREACH (entry, environment)
        if (strncmp(*entry, variable, length) == 0)
            return true;
    return false;
}

/* %(here)s is still the directory of the file where it stands. */
static char *carry_over(const struct reader *reader, const struct config_program *program,
                        const char *text)
{
    const char *here = reader->config->here;
    return strcmp(program->file->directory, here) == 0 ? strdup(text) : expand_here(text, here);
}

static int inherit_environment(const struct reader *reader, struct config_program *program)
{
    CLEANUP_STRV char **all = NULL;
    int r = 0;
    STRV_FOREACH (variable, reader->config->environment)
        if (r == 0 && !has_variable(program->environment, *variable)) {
            char *text = carry_over(reader, program, *variable);
            r = text ? strv_consume(&all, text) : -ENOMEM;
        }
    STRV_FOREACH (variable, program->environment)
        if (r == 0)
            r = strv_append(&all, *variable);
    if (r < 0)
        return r;
    (void)strv_free(program->environment);
    program->environment = TAKE_PTR(all);
    return 0;
}

static int inherit(const struct reader *reader, struct config_program *program,
                   const struct tree_node *keys)
{
    const struct config *config = reader->config;
    if (!program->identity.umask.set)
        program->identity.umask = config->umask;
    if (config->directory && !tree_get(keys, "directory")) {
        char *directory = carry_over(reader, program, config->directory);
        if (!directory)
            return -ENOMEM;
        free(program->directory);
        program->directory = directory;
    }
    return config->environment ? inherit_environment(reader, program) : 0;
}

/* They are expanded by each worker, and know nothing of one program's sockets. */
static void check_environment(struct reader *reader)
{
    const struct tree_node *node = tree_get(reader->tree->root, "environment");
    const unsigned process_num = 0;
    const uint64_t generation = 1;
    const struct expansion known = {
        .program_name = "program",
        .group_name = "program",
        .here = reader->config->here,
        .host_node_name = reader->host_node_name,
        .process_num = &process_num,
        .generation = &generation,
        .environment = environ,
    };
    for (size_t i = 0; node && node->type == TREE_MAPPING && i < node->n; i++) {
        CLEANUP_FREE char *expanded = NULL, *reason = NULL;
        char path[100];
        if (node->items[i]->type != TREE_SCALAR)
            continue;
        int r = expand(node->items[i]->text, &known, &expanded, &reason);
        (void)snprintf(path, sizeof(path), "environment.%.64s", node->keys[i]->text);
        if (r == -ENOMEM)
            reader->errors->no_memory = true;
        else if (r < 0)
            errors_add(reader->errors, &node->items[i]->place, path, "%s", reason);
    }
}

static void resolve_gateway(struct reader *reader)
{
    const struct tree_node *section = tree_get(reader->tree->root, "gateway");
    const struct scope *root = reader->scope;
    if (!section || !reader->config->gateway.is_on)
        return;
    struct scope scope = {.up = root, .name = "gateway", .place = &section->place};
    struct seeker seeker = {.reader = reader,
                            .keys = section,
                            .account = &reader->config->gateway.account,
                            .is_master = true};
    reader->scope = &scope;
    resolve(&seeker);
    reader->scope = root;
}

void validate_identities(struct reader *reader)
{
    struct config *config = reader->config;
    struct seeker own = {.reader = reader,
                         .keys = reader->tree->root,
                         .account = &config->account,
                         .is_master = true};
    const struct scope *root = reader->scope;
    resolve(&own);
    resolve_gateway(reader);
    check_environment(reader);
    for (size_t i = 0; i < config->n_programs; i++) {
        struct config_program *program = config->programs[i];
        const struct draft *draft = &reader->programs[i];
        struct scope list = {.up = root, .name = "programs", .place = &draft->key->place};
        struct scope scope = {.up = &list, .name = program->name, .place = &draft->key->place};
        struct seeker seeker = {
            .reader = reader, .keys = draft->value, .account = &program->identity.account};
        reader->scope = &scope;
        resolve(&seeker);
        if (inherit(reader, program, draft->value) < 0)
            reader->errors->no_memory = true;
        reader->scope = root;
    }
}
