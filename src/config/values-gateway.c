/* gateway: the HTTP gateway, off unless it is named. */
#include "config/values.h"

#include "base/strv.h"
#include "config/section.h"
#include "config/suggest.h"

#include <errno.h>
#include <string.h>

#define AT(member)   offsetof(struct config, gateway.member)
#define CALLED(ours) "called '" ours "' here"

/* listen */

static void read_address(struct reader *reader, const struct key *key UNUSED,
                         const struct tree_node *node, void *object)
{
    struct config *config = object;
    const char *reason = NULL;
    if (!value_is_scalar(reader, node, "an address: 127.0.0.1:9999, [::1]:9999 or unix:/path"))
        return;
    CLEANUP_FREE char *text = value_expand(reader, node, node->text);
    if (!text)
        return;
    int r = address_parse(text, &config->gateway.address, &reason);
    if (r < 0)
        reader_error(reader, &node->place, "%s", reason);
    else if (config->gateway.address.datagram)
        reader_error(reader, &node->place, "HTTP is not served over UDP");
    else
        config->gateway.is_on = true;
}

static void print_address(struct printer *printer, const struct key *key, const void *object)
{
    const struct config *config = object;
    CLEANUP_FREE char *text = address_to_text(&config->gateway.address);
    print_key(printer, key->name);
    print_text(printer, text ? text : "");
    (void)fputc('\n', printer->stream);
    printer->failed = printer->failed || !text;
}

static const struct value_type type_address = {
    .label = "address", .read = read_address, .print = print_address};

/* public */

/* In the order of enum config_public. */
static const char *const public_words[] = {"healthz", "readyz", "metrics", NULL};

#define EXPECTED "healthz, readyz or metrics"

static void read_path_name(struct reader *reader, const struct tree_node *node, unsigned *paths)
{
    char text[TREE_TEXT_SIZE], buffer[SUGGESTION_TEXT_SIZE];
    if (!value_is_scalar(reader, node, EXPECTED))
        return;
    struct suggestion suggestion;
    suggestion_init(&suggestion, node->text);
    for (unsigned i = 0; public_words[i]; i++) {
        if (strcmp(node->text, public_words[i]) == 0) {
            *paths |= 1u << i;
            return;
        }
        suggestion_try(&suggestion, public_words[i]);
    }
    reader_error(reader, &node->place, "%s is wrong here, expected " EXPECTED "%s",
                 tree_describe(node, text), suggestion_to_text(&suggestion, buffer));
}

static void read_public(struct reader *reader, const struct key *key UNUSED,
                        const struct tree_node *node, void *object)
{
    struct config *config = object;
    for (size_t i = 0; i < value_list_length(node); i++)
        read_path_name(reader, value_list_item(node, i), &config->gateway.public);
}

static void print_public(struct printer *printer, const struct key *key, const void *object)
{
    const struct config *config = object;
    char *words[ARRAY_SIZE(public_words)] = {NULL};
    size_t n = 0;
    for (unsigned i = 0; public_words[i]; i++)
        if (config->gateway.public & (1u << i))
            words[n++] = (char *)(uintptr_t)public_words[i];
    print_list(printer, key->name, words);
}

static const struct value_type type_public = {
    .label = "list", .read = read_public, .print = print_public};

/* The section */

static const struct key gateway_keys[] = {
    {"listen", &type_address, AT(address), .required = true,
     .help = "where it serves HTTP: an address, a port or unix:/path"},
    {"username", &type_text, AT(username), .default_help = "none",
     .help = "whoever has no other right must name this user, and the password"},
    {"password_file", &type_path, AT(password_file), .default_help = "none",
     .help = "holds the password, or a hash of it: crypt(3)'s or {SHA}…"},
    {"password", &type_secret, AT(password), .default_help = "none",
     .help = "the same, written here"},
    {"public", &type_public, AT(public), .default_help = "none",
     .help = "served without a password: healthz, readyz, metrics"},
    {"user", &type_account_user, AT(account.user_text),
     .default_help = "nobody, where the master is root", .help = "who it is"},
    {0},
};
static const struct foreign_key gateway_foreign[] = {
    {"port", CALLED("listen")},
    {"host", CALLED("listen")},
    {"daemon_port", CALLED("listen")},
    {"auth_username", CALLED("username")},
    {"auth_password", CALLED("password")},
    {0},
};
const struct key_table gateway_table = {"gateway", gateway_keys, gateway_foreign};

static void read_gateway(struct reader *reader, const struct key *key, const struct tree_node *node,
                         void *object)
{
    if (node->type == TREE_SCALAR && strcmp(node->text, "none") == 0)
        return;
    section_read(reader, key->table, node, object);
    if (node->type == TREE_MAPPING)
        section_require(reader, key->table, node);
}

static void print_gateway(struct printer *printer, const struct key *key, const void *object)
{
    const struct config *config = object;
    if (config->gateway.is_on) {
        type_section.print(printer, key, object);
        return;
    }
    print_key(printer, key->name);
    (void)fputs(" none\n", printer->stream);
}

const struct value_type type_gateway = {
    .label = "mapping or none", .read = read_gateway, .print = print_gateway};
